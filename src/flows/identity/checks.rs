//! Checks before an identity is changed, against the ledger (spec/flows-additions.md
//! 2.1 has the names in quotes).

use super::planned::LedgerIdentity;
use super::{IdentityPath, ListedIdentity};
use crate::api;
use crate::context::Context;
use crate::crypto::hash::identifier_hash;
use crate::error::{Error, codes};
use crate::flows::{identifier, levels};
use crate::ledger::query;
use crate::ledger::types::IdentityInfo;

/// The mode whose identities need consent to be changed.
pub(super) const WITH_CONSENT: u8 = 3;

/// The checks of a call that changes identities.
pub(super) struct IdentityChecks<'a> {
    context: &'a Context,
    node_id: &'a str,
    /// Whether identifiers must have the form of their namespace.
    is_form_checked: bool,
}

impl<'a> IdentityChecks<'a> {
    /// The checks of a call.
    pub fn of<P, Q, B>(call: &'a api::ApiCall<P, Q, B>) -> Self {
        Self {
            context: &call.context,
            node_id: &call.node_id,
            is_form_checked: call.checks_identifiers(),
        }
    }

    /// "NSL": NDID has registered the namespaces.
    ///
    /// # Errors
    /// 20013; those of the ledger.
    pub async fn namespaces(&self, wanted: &[&str]) -> Result<(), Error> {
        let known = query::namespaces(self.context.ledger.as_ref()).await?;
        let is_known = |name: &&str| known.iter().any(|namespace| namespace.namespace == *name);
        match wanted.iter().all(is_known) {
            true => Ok(()),
            false => Err(codes::INVALID_NAMESPACE.into()),
        }
    }

    /// The identity has the form that its namespace asks for.
    ///
    /// # Errors
    /// 20096.
    pub fn form(&self, identity: &ListedIdentity) -> Result<(), Error> {
        if self.is_form_checked
            && !identifier::is_acceptable(&identity.namespace, &identity.identifier)
        {
            return Err(codes::INVALID_IDENTIFIER.into());
        }
        Ok(())
    }

    /// "OWN": the identity as this IdP declared it.
    ///
    /// # Errors
    /// 20071 if it has not; those of the ledger.
    pub async fn own(&self, identity: &LedgerIdentity) -> Result<IdentityInfo, Error> {
        let own = self.declared(identity).await?;
        own.ok_or_else(|| codes::IDENTITY_NOT_FOUND_ON_IDP.into())
    }

    /// "OWN" in "new" use: this IdP has not declared the identity.
    ///
    /// # Errors
    /// 20019 if it has; those of the ledger.
    pub async fn is_new(&self, identity: &LedgerIdentity) -> Result<(), Error> {
        match self.declared(identity).await? {
            Some(_) => Err(codes::IDENTITY_ALREADY_CREATED.into()),
            None => Ok(()),
        }
    }

    async fn declared(&self, identity: &LedgerIdentity) -> Result<Option<IdentityInfo>, Error> {
        let ledger = self.context.ledger.as_ref();
        query::identity_info(ledger, identity.params(), self.node_id).await
    }

    /// "GRP": the group of the identity, if the platform knows it.
    ///
    /// # Errors
    /// Those of the ledger.
    pub async fn group(&self, identity: &LedgerIdentity) -> Result<Option<String>, Error> {
        let LedgerIdentity {
            identity_namespace,
            identity_identifier_hash,
        } = identity;
        let ledger = self.context.ledger.as_ref();
        query::reference_group_code(ledger, identity_namespace, identity_identifier_hash).await
    }

    /// "ACC" of a new accessor: nobody uses its id. A revoked accessor is found
    /// by the ledger only (spec/http-api-additions.md 3.6-1).
    ///
    /// # Errors
    /// 20030; those of the ledger.
    pub async fn accessor_is_new(&self, accessor_id: &str) -> Result<(), Error> {
        let key = query::accessor_key(self.context.ledger.as_ref(), accessor_id).await?;
        match key.is_some_and(|key| key.active) {
            true => Err(codes::DUPLICATE_ACCESSOR_ID.into()),
            false => Ok(()),
        }
    }

    /// "ACC" and "OWNER": the accessor is active and this IdP's.
    ///
    /// # Errors
    /// 20011, 20062, in this order; those of the ledger.
    pub async fn accessor_is_own(&self, accessor_id: &str) -> Result<(), Error> {
        let key = query::accessor_key(self.context.ledger.as_ref(), accessor_id).await?;
        let key = key
            .filter(|key| key.active)
            .ok_or(codes::ACCESSOR_PUBLIC_KEY_NOT_FOUND_OR_NOT_ACTIVE)?;
        match key.owner_node_id == self.node_id {
            true => Ok(()),
            false => Err(codes::NOT_OWNER_OF_ACCESSOR.into()),
        }
    }

    /// The IAL is one of the platform's and not above what this node may declare.
    ///
    /// # Errors
    /// 20094, 10032, 20021, in this order; those of the ledger.
    pub async fn ial(&self, ial: &serde_json::Number) -> Result<(), Error> {
        let ledger = self.context.ledger.as_ref();
        levels::check_supported(ledger, Some(ial), None).await?;
        let own = query::node_info(ledger, self.node_id).await?;
        let own = own.ok_or(codes::NODE_INFO_NOT_FOUND)?;
        let exceeds = own.max_ial.is_none_or(|most| levels::is_below(&most, ial));
        match exceeds {
            true => Err(codes::MAXIMUM_IAL_EXCEED.into()),
            false => Ok(()),
        }
    }

    /// "IDPS": the modes that each IdP has the identity in.
    ///
    /// # Errors
    /// Those of the ledger.
    pub async fn modes_at_idps(&self, identity: &LedgerIdentity) -> Result<Vec<Vec<u8>>, Error> {
        let idps = query::idps_of_identity(self.context.ledger.as_ref(), identity.params()).await?;
        Ok(idps.into_iter().map(|idp| idp.mode_list).collect())
    }
}

/// "MODE": whether the IdP has the identity in mode 3.
///
/// # Errors
/// 10050 when it has it in no mode.
pub(super) fn needs_consent(own: &IdentityInfo) -> Result<bool, Error> {
    match own.mode_list.iter().max() {
        None => Err(codes::NO_MODE_AVAILABLE.into()),
        Some(highest) => Ok(*highest == WITH_CONSENT),
    }
}

/// The highest mode of a request that all IdPs of an identity can answer.
pub(super) fn consent_mode(modes_at_idps: &[Vec<u8>]) -> u8 {
    match modes_at_idps
        .iter()
        .any(|modes| modes.contains(&WITH_CONSENT))
    {
        true => WITH_CONSENT,
        false => 2,
    }
}

impl IdentityPath {
    /// As the ledger knows it.
    pub(super) fn on_ledger(&self) -> LedgerIdentity {
        on_ledger(&self.namespace, &self.identifier)
    }
}

impl ListedIdentity {
    /// As the ledger knows it.
    pub(super) fn on_ledger(&self) -> LedgerIdentity {
        on_ledger(&self.namespace, &self.identifier)
    }
}

fn on_ledger(namespace: &str, identifier: &str) -> LedgerIdentity {
    LedgerIdentity {
        identity_namespace: namespace.to_owned(),
        identity_identifier_hash: identifier_hash(identifier),
    }
}
