//! The Lua scripts. Each operation that changes anything, or reads more than
//! one thing, is a script and therefore atomic.

use metrics::Histogram;
use redis::{Cmd, Script};

use super::durations;

/// A script and the SHA-1 that Redis knows it by.
pub(super) struct LuaScript {
    pub code: String,
    pub hash: String,
    pub duration: Histogram,
}

macro_rules! scripts {
    ($($name:ident: $($piece:literal),+;)*) => {
        /// All scripts of the store.
        pub(super) struct Scripts { $(pub $name: LuaScript,)* }

        impl Scripts {
            pub fn assemble() -> Self {
                Self { $($name: LuaScript::new(stringify!($name), concat!(
                    include_str!("scripts/shared.lua"),
                    $(include_str!(concat!("scripts/", $piece, ".lua")),)+
                )),)* }
            }
        }
    };
}

scripts! {
    accept: "job", "apply", "accept";
    commit: "job", "apply", "failures", "commit";
    reschedule: "job", "reschedule";
    strike: "job", "strike";
    park: "job", "park";
    release: "job", "release";
    claim: "job", "claim";
    operate: "job", "apply", "failures", "operate";
    open_jobs: "open_jobs";
    jobs: "jobs";
    failed_jobs: "failed_jobs";
    get_many: "get_many";
    index: "index";
    acquire_lease: "acquire_lease";
    release_lease: "release_lease";
}

impl LuaScript {
    fn new(name: &'static str, code: &str) -> Self {
        Self {
            code: code.to_owned(),
            hash: Script::new(code).get_hash().to_owned(),
            duration: durations::of(name),
        }
    }

    /// A call of the script, without its arguments.
    pub fn call(&self, prefix: &str) -> Cmd {
        let mut command = redis::cmd("EVALSHA");
        command.arg(&self.hash).arg(1).arg(prefix);
        command
    }

    /// The command that loads the script into Redis.
    pub fn load(&self) -> Cmd {
        let mut command = redis::cmd("SCRIPT");
        command.arg("LOAD").arg(&self.code);
        command
    }
}
