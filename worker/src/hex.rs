//! Numbers in hexadecimal digits, in lower case.

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// All sixteen of a number.
pub(crate) fn of_number(number: u64) -> [u8; 16] {
    std::array::from_fn(|at| DIGITS[(number >> (60 - 4 * at) & 0xf) as usize])
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
        for number in [0, 1, 0x0123_4567_89ab_cdef, u64::MAX] {
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
