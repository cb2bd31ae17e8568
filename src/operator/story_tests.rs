use super::*;
use crate::context::Role;
use crate::delivery::callback::{CallbackTarget, Persistence, callback_job};
use crate::delivery::transaction::Transact;
use crate::flows::rp::time_out;
use crate::flows::testing::TestNode;
use crate::job::{Millis, NewJob, Write, request_key};
use crate::store::embedded::{EmbeddedStore, Options};
use crate::store::{Accept, Operation, OperatorAction};

const REQUEST: &str = "b1946ac92492d2347c6235b4d2611184";

struct Kept {
    store: EmbeddedStore,
    _directory: tempfile::TempDir,
}

fn kept() -> Kept {
    // Makes kinds and tables known.
    drop(TestNode::new("rp1", Role::Rp));
    let directory = tempfile::tempdir().unwrap();
    let options = Options {
        path: directory.path().join("store"),
        node_id: "rp1".to_owned(),
    };
    Kept {
        store: EmbeddedStore::open(options).unwrap(),
        _directory: directory,
    }
}

fn message(direction: &str, at: u64) -> Write {
    let record = serde_json::json!({
        "message": {"type": "consent_request", "identifier": "1234567890123"},
        "direction": direction,
        "source": {"node_id": "idp1"},
        "destinations": [{"node_id": "idp1"}, {"node_id": "idp2"}],
        "timestamp": at,
    });
    Write::put_column(
        Table::PrivateMessage,
        row("rp1", REQUEST),
        format!("consent_request:{direction}:1"),
        record.to_string().into_bytes(),
    )
}

fn transaction() -> Write {
    let params = serde_json::json!({"request_id": REQUEST, "secret": "hidden"});
    let expected = Expected {
        transact: Transact::new("rp1", "CreateRequest", &params, None),
        bytes: vec![7; 9],
        signed_at: Millis(2000),
        trace: None,
    };
    Write::put(Table::ExpectedTransaction, "abc", codec::encode(&expected))
}

fn callback(scope: &str) -> NewJob {
    let target = CallbackTarget::Url("https://me:hidden@app.example/cb".to_owned());
    callback_job(
        target,
        scope,
        serde_json::Map::new(),
        Persistence::Timed,
        None,
    )
}

#[tokio::test]
async fn a_story_has_what_the_store_knows_of_a_request_and_nothing_of_others() {
    let Kept { store, _directory } = kept();
    let own = NewJob::new(time_out::KIND, request_key(REQUEST), &());
    let id = own.id;
    let other = NewJob::new(time_out::KIND, request_key("another"), &());
    let accept = Accept {
        jobs: vec![own, callback(REQUEST), callback("another"), other],
        writes: vec![
            message("inbound", 1000),
            message("outbound", 500),
            transaction(),
            Write::put(Table::RequestData, row("rp1", REQUEST), b"{}".to_vec()),
        ],
        ..Accept::default()
    };
    store.accept(accept).await.unwrap();
    let job = store.jobs(&[id]).await.unwrap().remove(0).unwrap();
    let attempt = crate::job::Attempt {
        job: id,
        number: job.attempt,
    };
    store.park(attempt, "broken").await.unwrap();
    let operation = Operation {
        job: id,
        action: OperatorAction::Drop,
        who: "somchai".to_owned(),
        why: "not wanted".to_owned(),
        at: Millis(Millis::now().0 + 1000),
    };
    let before = gather(&store, &["rp1".to_owned()], REQUEST).await.unwrap();
    store.operate(operation).await.unwrap();
    let story = gather(&store, &["rp1".to_owned()], REQUEST).await.unwrap();

    let told = |story: &RequestStory| -> Vec<(ChapterKind, String)> {
        let chapters = story.chapters.iter();
        chapters
            .map(|chapter| (chapter.of, chapter.name.clone()))
            .collect()
    };
    let first = [
        (ChapterKind::Sent, "consent_request".to_owned()),
        (ChapterKind::Received, "consent_request".to_owned()),
        (ChapterKind::Transaction, "CreateRequest".to_owned()),
    ];
    assert_eq!(told(&before)[..3], first);
    let parked = before
        .chapters
        .iter()
        .find(|part| part.job == Some(id.to_string()));
    assert_eq!(parked.unwrap().state, Some(JobState::Parked));
    assert_eq!(before.chapters.len(), 5, "{before:?}");

    let after = told(&story);
    assert_eq!(after[..3], first);
    assert_eq!(
        after[3],
        (ChapterKind::Callback, "deliver.callback".to_owned())
    );
    assert_eq!(after[4], (ChapterKind::Decision, "drop".to_owned()));
    assert_eq!(after.len(), 5, "{story:?}");
    assert_eq!(story.kept.len(), 1);
    assert_eq!(story.kept[0].table, "request_data");
    let text = serde_json::to_string(&story).unwrap();
    assert!(!text.contains("hidden"), "{text}");
    assert!(!text.contains("1234567890123"), "{text}");
    assert!(!text.contains("another"), "{text}");
}

#[tokio::test]
async fn an_unknown_request_has_no_story() {
    let Kept { store, _directory } = kept();
    let story = gather(&store, &["rp1".to_owned()], REQUEST).await.unwrap();
    assert_eq!((story.chapters, story.kept), (vec![], vec![]));
}
