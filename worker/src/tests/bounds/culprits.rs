//! Whoever does nothing more, whenever that is, it is he who is named.

use proptest::prelude::*;

use super::*;

/// Who does nothing more, and from when on.
#[derive(Debug, Clone, Copy)]
enum Blocker {
    ClientSending,
    ClientReading,
    UpstreamReading,
    UpstreamHead,
    UpstreamAnswer,
    BothOfATunnel,
}

/// Plays an exchange until `blocker` does nothing more, after `bytes` bytes of what it would have to move.
async fn block(memory: &mut Memory, blocker: Blocker, framing: usize, bytes: usize) {
    match blocker {
        Blocker::ClientSending | Blocker::UpstreamReading => {
            block_upload(memory, blocker, bytes).await;
        }
        Blocker::ClientReading | Blocker::UpstreamHead | Blocker::UpstreamAnswer => {
            block_answer(memory, blocker, framing, bytes).await;
        }
        Blocker::BothOfATunnel => block_tunnel(memory, bytes).await,
    }
}

async fn block_upload(memory: &mut Memory, blocker: Blocker, bytes: usize) {
    let (mut client, mut upstream) = memory
        .asked(format!("{UPLOAD}Expect: 100-continue\r\n\r\n"))
        .await;
    upstream.send("HTTP/1.1 100 Continue\r\n\r\n").await;
    let sent = if matches!(blocker, Blocker::ClientSending) {
        bytes
    } else {
        1_000_000
    };
    memory.play(async move {
        client.send(vec![b'x'; sent]).await;
        std::future::pending().await
    });
    let reads_on = matches!(blocker, Blocker::ClientSending);
    memory.play(async move {
        while upstream.some(bytes.max(1)).await > 0 && reads_on {}
        std::future::pending().await
    });
}

async fn block_answer(memory: &mut Memory, blocker: Blocker, framing: usize, bytes: usize) {
    let (request, head, piece) = FRAMINGS[framing];
    let (mut client, mut upstream) = memory.asked(request).await;
    match blocker {
        Blocker::ClientReading => {
            upstream.send(head).await;
            memory.play(pour(upstream, piece));
        }
        Blocker::UpstreamAnswer => {
            upstream.send(head).await;
            memory.play(async move {
                upstream.send(piece.repeat(bytes / 16)).await;
                std::future::pending().await
            });
        }
        _ => memory.play(async move {
            let _open = upstream;
            std::future::pending().await
        }),
    }
    let reads = if matches!(blocker, Blocker::ClientReading) {
        bytes
    } else {
        usize::MAX
    };
    memory.play(async move {
        let mut read = 0;
        while read < reads {
            match client.some(10_000).await {
                0 => break,
                some => read += some,
            }
        }
        std::future::pending().await
    });
}

async fn block_tunnel(memory: &mut Memory, bytes: usize) {
    let (client, mut upstream) = memory.asked(UPGRADE).await;
    upstream.send(SWITCHED).await;
    upstream.send(vec![b'x'; bytes % 60_000]).await;
    memory.play(async move {
        let _open = (client, upstream);
        std::future::pending().await
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_blocks_there_is_a_bound_and_a_culprit(
        blocker in prop_oneof![
            Just(Blocker::ClientSending),
            Just(Blocker::ClientReading),
            Just(Blocker::UpstreamReading),
            Just(Blocker::UpstreamHead),
            Just(Blocker::UpstreamAnswer),
            Just(Blocker::BothOfATunnel),
        ],
        framing in 0..FRAMINGS.len(),
        bytes in 0_usize..400_000,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        let ended = runtime.block_on(async {
            // Shorter, so that many cases take little time.
            let mut memory = Memory::new(|settings| {
                settings.upstream.read_timeout = Some(Duration::from_secs(40));
                settings.upstream.tunnel_timeout = Some(Duration::from_secs(50));
            });
            block(&mut memory, blocker, framing, bytes).await;
            memory.slot_is_free().await;
            memory.ended()
        });
        let culprits: &[WaitEnd] = match blocker {
            Blocker::ClientSending => &[ClientSendsNothing],
            Blocker::ClientReading => &[ClientReadsNothing],
            Blocker::UpstreamReading => &[UpstreamReadsNothing],
            Blocker::UpstreamHead => &[UpstreamHead],
            Blocker::UpstreamAnswer => &[UpstreamSendsNothing],
            Blocker::BothOfATunnel => &[Tunnel],
        };
        prop_assert_eq!(&ended[..], culprits);
    }
}
