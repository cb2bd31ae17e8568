//! What every line says of the process that wrote it, so that lines of many
//! processes can be told apart where they are kept together.

use std::fmt;

use parking_lot::RwLock;
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// What the process is to its node now; empty before it is known.
static ROLE: RwLock<&str> = RwLock::new("");

/// Set by Kubernetes, where a manifest asks for it.
const POD_NAME: &str = "POD_NAME";
const HOSTNAME: &str = "/proc/sys/kernel/hostname";

/// From now on, lines say that the process is this to its node: `master`,
/// `standby`, `worker` or `standalone`.
pub fn act_as(role: &'static str) {
    *ROLE.write() = role;
}

/// Which process of which node it is.
#[derive(Debug, Clone)]
pub struct Identity {
    node_id: String,
    instance: String,
}

impl Identity {
    /// Of this process: the instance is the name of its pod, container or
    /// machine, with the process id where a machine may have several.
    pub fn of_process(node_id: &str) -> Self {
        let pod = std::env::var(POD_NAME).ok().filter(|name| !name.is_empty());
        Self {
            node_id: node_id.to_owned(),
            instance: pod.unwrap_or_else(machine),
        }
    }

    /// Which node.
    pub(super) fn node_id(&self) -> &str {
        &self.node_id
    }

    /// Which process of it.
    pub(super) fn instance(&self) -> &str {
        &self.instance
    }

    /// A formatter that writes lines with this identity.
    pub(super) fn lines<F>(&self, inner: F, form: LineForm) -> Identified<F> {
        let members = [("node_id", &self.node_id), ("instance", &self.instance)];
        let before_role = match form {
            LineForm::Json => {
                let members = members.map(|(name, value)| format!("\"{name}\":{}", json(value)));
                format!("{{{},\"role\":\"", members.join(","))
            }
            LineForm::Text => format!("{}@{} ", self.node_id, self.instance),
        };
        Identified {
            inner,
            form,
            before_role,
        }
    }
}

/// Text always becomes JSON.
fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn machine() -> String {
    let name = std::fs::read_to_string(HOSTNAME);
    let name = name.as_deref().unwrap_or("unknown").trim().to_owned();
    match std::process::id() {
        // The first process of a container.
        1 => name,
        id => format!("{name}/{id}"),
    }
}

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineForm {
    Json,
    Text,
}

/// Puts the identity before what `inner` writes.
pub(super) struct Identified<F> {
    inner: F,
    form: LineForm,
    /// All that stands before the role.
    before_role: String,
}

impl<S, N, F> FormatEvent<S, N> for Identified<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        writer.write_str(&self.before_role)?;
        writer.write_str(*ROLE.read())?;
        match self.form {
            LineForm::Json => {
                writer.write_str("\",")?;
                let mut rest = WithoutBrace {
                    writer: &mut writer,
                    is_first: true,
                };
                self.inner
                    .format_event(context, Writer::new(&mut rest), event)
            }
            LineForm::Text => {
                writer.write_char(' ')?;
                self.inner.format_event(context, writer, event)
            }
        }
    }
}

/// Leaves out the brace that opens an object, which stands there already.
struct WithoutBrace<'a, W> {
    writer: &'a mut W,
    is_first: bool,
}

impl<W: fmt::Write> fmt::Write for WithoutBrace<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.is_first && !text.is_empty() {
            self.is_first = false;
            return self
                .writer
                .write_str(text.strip_prefix('{').unwrap_or(text));
        }
        self.writer.write_str(text)
    }
}
