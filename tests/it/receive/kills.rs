//! Postmeter is killed, and the OTLP receiver fails, at random: what was acknowledged arrives, and nothing arrives twice under two identities.

use super::world::{ANY, TOKEN, World, arrived, client, lines};
use crate::support::program::Program;
use postmeter::simulate::Receiver;
use reqwest::StatusCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const KILLS: u64 = 6;
const BATCH: u64 = 20;

/// Sends batches, each until it is acknowledged, as KumoMTA does, until `stop` batches are.
async fn sender(url: Arc<parking_lot::Mutex<String>>, target: &'static str, batches: u64, acknowledged: Arc<AtomicU64>) {
    let client = client();
    for batch in 0..batches {
        loop {
            let url = format!("{}/v1/deliveries/{target}", url.lock());
            let body = lines(batch * BATCH..(batch + 1) * BATCH);
            match client.post(url).bearer_auth(TOKEN).timeout(Duration::from_secs(10)).body(body).send().await {
                Ok(response) if response.status() == StatusCode::OK => break,
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
        acknowledged.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_records_survive_kills() {
    let (world, receiver) = (World::new(), Receiver::start(ANY).await.unwrap());
    let directory = tempfile::tempdir().unwrap();
    let file = world.file(Some(&receiver.url()));
    let url = Arc::new(parking_lot::Mutex::new(String::new()));
    let acknowledged = Arc::new(AtomicU64::new(0));
    let batches = KILLS * 20;
    let mut senders = tokio::task::JoinSet::new();
    for target in ["mta1", "mta2"] {
        senders.spawn(sender(url.clone(), target, batches, acknowledged.clone()));
    }
    for kill in 0..KILLS {
        if kill % 2 == 1 {
            receiver.fail_with(Some(tonic::Status::unavailable("down")));
        }
        let mut program = Program::spawn_with(directory.path(), &file, &[]);
        *url.lock() = program.receive_url().await;
        let until = acknowledged.load(Ordering::SeqCst) + 13 + kill;
        while acknowledged.load(Ordering::SeqCst) < until && !senders.is_empty() && acknowledged.load(Ordering::SeqCst) < 2 * batches {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        program.kill();
        receiver.fail_with(None);
    }
    let mut program = Program::spawn_with(directory.path(), &file, &[]);
    *url.lock() = program.receive_url().await;
    senders.join_all().await;
    arrived(&receiver, usize::try_from(2 * batches * BATCH).unwrap()).await;
    program.end();
    assert_eq!(receiver.distinct_log_records() as u64, 2 * batches * BATCH, "each record has one identity");
}
