//! Who a caller is, and what it may do: by a token or by its certificate.

mod tokens;

pub use tokens::Tokens;

/// What somebody may do. The later one includes the former.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Sees everything and changes nothing.
    Viewer,
    /// Decides about jobs too.
    Operator,
}

impl Role {
    /// `viewer` or `operator`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
        }
    }

    /// The role with this name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Viewer, Self::Operator]
            .into_iter()
            .find(|role| role.as_str() == name)
    }
}

/// A caller who has proved who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// For the audit.
    pub name: String,
    pub role: Role,
}

impl Identity {
    /// Whether it may do what needs `role`.
    pub fn may(&self, role: Role) -> bool {
        self.role >= role
    }
}
