//! State: tables, rows and columns.

use erawan::job::{Table, Tables, Write};
use erawan::store::{Accept, Store};

use crate::harness::*;

const TABLE: Table = Table::AsData;

async fn write(store: &dyn Store, writes: Vec<Write>) {
    let accept = Accept {
        writes,
        ..Accept::default()
    };
    accept_all(store, accept).await;
}

fn column(row: &str, column: &str, value: &str) -> Write {
    Write::put_column(TABLE, row, column, value.into())
}

pub async fn writes_are_applied_in_order<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    let writes = vec![
        column("r", "a", "1"),
        column("r", "b", "1"),
        column("r", "a", "2"),
        Write::delete(TABLE, "r"),
        column("r", "c", "3"),
        column("r", "d", "4"),
        Write::DeleteColumn {
            table: TABLE,
            row: "r".to_owned(),
            column: "d".to_owned(),
        },
        Write::delete(TABLE, "never was"),
    ];
    write(&*store, writes).await;
    let columns = store.columns(TABLE, "r").await.unwrap();
    assert_eq!(columns, [("c".to_owned(), b"3".to_vec())]);
}

pub async fn columns_come_in_byte_order<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    let mut names: Vec<String> = (0..300).map(|number| format!("{number}")).collect();
    names.extend(["", "b", "B", "a\0", "a", "ก"].map(str::to_owned));
    for name in &names {
        write(&*store, vec![column("r", name, name)]).await;
    }
    names.sort_unstable_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
    let found = store.columns(TABLE, "r").await.unwrap();
    let expected: Vec<_> = names
        .iter()
        .map(|name| (name.clone(), name.clone().into_bytes()))
        .collect();
    assert_eq!(found, expected);
    assert_eq!(store.columns(TABLE, "absent").await.unwrap(), []);
}

/// As an RP's client that asks for the data of seven ASs.
pub async fn large_columns_are_read_together<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    let names: Vec<String> = (0..7).map(|number| format!("as{number}")).collect();
    for name in &names {
        let value = vec![200; 10 * 1024 * 1024];
        write(&*store, vec![Write::put_column(TABLE, "r", name, value)]).await;
    }
    let found = store.columns(TABLE, "r").await.unwrap();
    let sizes: Vec<_> = found.iter().map(|(_, value)| value.len()).collect();
    assert_eq!(sizes, [10 * 1024 * 1024; 7]);
    let found: Vec<_> = found.into_iter().map(|(name, _)| name).collect();
    assert_eq!(found, names);
}

pub async fn many_rows_are_read_in_the_order_asked<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    let writes = vec![
        column("one", "", "1"),
        column("two", "", "2"),
        column("three", "not the value", "3"),
    ];
    write(&*store, writes).await;
    let rows = ["two", "absent", "three", "one", "two"].map(str::to_owned);
    let found = store.get_many(TABLE, &rows).await.unwrap();
    let expected = [Some("2"), None, None, Some("1"), Some("2")];
    assert_eq!(found, expected.map(|value| value.map(Vec::from)));
    assert_eq!(
        store.get_many(TABLE, &[]).await.unwrap(),
        Vec::<Option<Vec<u8>>>::new()
    );
}

pub async fn rows_are_found_by_prefix<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    let names = ["a", "ab", "a*", "a*b", "a?[x]\\", "b", "", "a\0"];
    let mut writes: Vec<_> = names.iter().map(|name| column(name, "", "v")).collect();
    writes.push(column("ab", "second column", "v"));
    writes.push(Write::put(Table::RequestData, "ax", vec![]));
    write(&*store, writes).await;
    for prefix in ["", "a", "a*", "a?[", "a?[x]\\", "b", "c", "a\0"] {
        let mut found = store.rows(TABLE, prefix).await.unwrap();
        found.sort();
        let mut expected: Vec<_> = names
            .iter()
            .filter(|name| name.starts_with(prefix))
            .collect();
        expected.sort();
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{prefix:?}");
    }
}

/// As requests are kept: a row of several columns, deleted as a whole.
pub async fn rows_of_tables_that_are_often_listed_are_found<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    let tables = [
        Table::ExpectedTransaction,
        Table::DisabledTransaction,
        Table::RequestData,
        Table::ConsentRequest,
        Table::DataRequest,
    ];
    for table in tables {
        let put = |row: &str, column: &str| Write::put_column(table, row, column, b"v".to_vec());
        write(&*store, vec![put("rp1/a", ""), put("rp1/a", "progress")]).await;
        write(&*store, vec![put("rp1/b", ""), put("rp2/c", "progress")]).await;
        write(&*store, vec![Write::delete(table, "rp1/b")]).await;
        write(&*store, vec![Write::delete(table, "rp1/never was")]).await;
    }
    for table in tables {
        let mut rows = store.rows(table, "").await.unwrap();
        rows.sort_unstable();
        assert_eq!(rows, ["rp1/a", "rp2/c"], "{table:?}");
        assert_eq!(store.rows(table, "rp1/").await.unwrap(), ["rp1/a"]);
    }
}

pub async fn deleting_the_last_column_makes_a_row_absent<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    write(&*store, vec![column("r", "a", "1")]).await;
    let delete = Write::DeleteColumn {
        table: TABLE,
        row: "r".to_owned(),
        column: "a".to_owned(),
    };
    write(&*store, vec![delete]).await;
    assert!(store.rows(TABLE, "").await.unwrap().is_empty());
    assert_eq!(store.get(TABLE, "r", "a").await.unwrap(), None);
}

pub async fn tables_rows_and_columns_do_not_mix<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    for table in Tables::given().all() {
        let value = table.name().as_bytes().to_vec();
        write(&*store, vec![Write::put(table, "r", value)]).await;
    }
    write(
        &*store,
        vec![column("r:x", "", "1"), column("r", "x:", "2")],
    )
    .await;
    write(&*store, vec![column("r2", "", "3")]).await;
    for table in Tables::given().all() {
        let found = store.get(table, "r", "").await.unwrap();
        assert_eq!(found, Some(table.name().as_bytes().to_vec()));
    }
    write(&*store, vec![Write::delete(TABLE, "r")]).await;
    assert_eq!(store.columns(TABLE, "r").await.unwrap(), []);
    let value = |row: &'static str| store.get(TABLE, row, "");
    assert_eq!(value("r:x").await.unwrap(), Some(b"1".to_vec()));
    assert_eq!(value("r2").await.unwrap(), Some(b"3".to_vec()));
}

pub async fn binary_and_large_values_survive<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    let bytes: Vec<u8> = (0..=255).cycle().take(3 * 1024 * 1024).collect();
    let odd = "row \0\r\n\"ก";
    write(
        &*store,
        vec![Write::put_column(TABLE, odd, odd, bytes.clone())],
    )
    .await;
    let mut large = job(odd).source(odd);
    large.payload = bytes.clone();
    let accepted = accept_job(&*store, large).await;

    let value = store.get(TABLE, odd, odd).await.unwrap();
    assert!(value == Some(bytes), "the value is as it was");
    assert_eq!(store.rows(TABLE, "row \0").await.unwrap(), [odd]);
    let stored = store.jobs(&[accepted.id()]).await.unwrap();
    assert!(stored == [Some(accepted)], "the job is as it was");
}
