//! Between what the core asks for and etcd's own words.

use etcd_client::{
    Compare, CompareOp, EventType, KeyValue, Txn, TxnOp, TxnOpResponse, TxnResponse, WatchResponse,
};
use tpp_hosts::engine::{Header, Item, Outcome, Transaction};

use super::EngineError;

pub(super) fn changes_of(said: &WatchResponse) -> Option<Vec<Item>> {
    let item = |event: &etcd_client::Event| {
        let item = item_of(event.kv()?)?;
        Some(match event.event_type() {
            EventType::Put => item,
            EventType::Delete => Item {
                value: None,
                ..item
            },
        })
    };
    said.events().iter().map(item).collect()
}

/// If all conditions hold, all writes; else each compared key is read.
pub(super) fn txn_of(transaction: &Transaction) -> Txn {
    let compares = transaction.compares.iter();
    let as_known = compares
        .clone()
        .map(|one| Compare::mod_revision(one.key.as_str(), CompareOp::Equal, one.revision));
    // Holds for each key of the range, and where there is none.
    let unwritten = transaction.unwritten.iter().map(|one| {
        let later = one.since.saturating_add(1);
        Compare::mod_revision(one.prefix.as_str(), CompareOp::Less, later).with_prefix()
    });
    let when: Vec<_> = as_known.chain(unwritten).collect();
    let reads: Vec<_> = compares
        .map(|one| TxnOp::get(one.key.as_str(), None))
        .collect();
    let write = |one: &tpp_hosts::engine::Write| match &one.value {
        Some(value) => TxnOp::put(one.key.as_str(), value.as_slice(), None),
        None => TxnOp::delete(one.key.as_str(), None),
    };
    let writes: Vec<_> = transaction.writes.iter().map(write).collect();
    Txn::new().when(when).and_then(writes).or_else(reads)
}

/// What an answer says. One that cannot be understood says nothing.
pub(super) fn outcome_of(transaction: &Transaction, answer: &TxnResponse) -> Outcome {
    let Some(header) = header_of(answer.header()) else {
        return Outcome::Ambiguous;
    };
    if answer.succeeded() {
        return Outcome::Succeeded(header);
    }
    let read = |(compare, found): (&tpp_hosts::engine::Compare, TxnOpResponse)| {
        let TxnOpResponse::Get(found) = found else {
            return None;
        };
        match found.kvs().first() {
            Some(found) => item_of(found),
            None => Some(Item {
                key: compare.key.clone(),
                value: None,
                revision: header.revision,
            }),
        }
    };
    let found = transaction.compares.iter().zip(answer.op_responses());
    match found.map(read).collect() {
        Some(items) => Outcome::Failed(header, items),
        None => Outcome::Ambiguous,
    }
}

pub(super) fn header_of(header: Option<&etcd_client::ResponseHeader>) -> Option<Header> {
    header.map(|header| Header {
        cluster: header.cluster_id(),
        revision: header.revision(),
    })
}

pub(super) fn item_of(found: &KeyValue) -> Option<Item> {
    Some(Item {
        key: found.key_str().ok()?.to_owned(),
        value: Some(found.value().to_vec()),
        revision: found.mod_revision(),
    })
}

pub(super) fn nonsense() -> EngineError {
    EngineError::Said("an answer that nobody understands".to_owned())
}
