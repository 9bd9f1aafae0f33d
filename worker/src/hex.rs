//! Numbers in hexadecimal digits, in lower case.

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// All sixteen of a number.
pub(crate) fn of_number(number: u64) -> [u8; 16] {
    let halves = [number >> 32, number & 0xffff_ffff].map(of_half);
    let [high, low] = halves.map(u128::from);
    (high << 64 | low).to_be_bytes()
}

/// The eight digits of 32 bits, the first one highest. All at once: ids and traces need up to five numbers a request.
const fn of_half(number: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    // Each four bits get a byte of their own.
    let fours = (number | number << 16) & 0x0000_ffff_0000_ffff;
    let fours = (fours | fours << 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (fours | fours << 4) & (0x0f * ONES);
    // One in each byte that is to be a letter: those from 10 on carry into the upper half. No byte ever carries into the next.
    let letters = (fours + 6 * ONES) >> 4 & ONES;
    fours + b'0' as u64 * ONES + letters * (b'a' - b'0' - 10) as u64
}

/// Both of a byte.
pub(crate) fn of_byte(byte: u8) -> [u8; 2] {
    [
        DIGITS[usize::from(byte >> 4)],
        DIGITS[usize::from(byte & 0xf)],
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_those_of_the_number_with_zeros_before() {
        for number in [0, 1, 0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210, u64::MAX] {
            assert_eq!(
                of_number(number).as_slice(),
                format!("{number:016x}").as_bytes()
            );
        }
        for byte in 0..=u8::MAX {
            assert_eq!(of_byte(byte).as_slice(), format!("{byte:02x}").as_bytes());
        }
    }
}
