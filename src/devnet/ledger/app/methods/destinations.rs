//! What an AS offers (spec/ledger.md 4.2).

use crate::devnet::ledger::app::method::{AllowedCaller, Entry, Method, MethodCall, MethodResult};
use crate::devnet::ledger::app::params::params;
use crate::devnet::ledger::app::refusal::{self as refused, TxRefusal};
use crate::devnet::ledger::app::state::{Offer, State};

pub const METHODS: &[Entry] = &[
    Entry::of::<RegisterServiceDestination>(),
    Entry::of::<UpdateServiceDestination>(),
    Entry::of::<DisableServiceDestination>(),
    Entry::of::<EnableServiceDestination>(),
];

params! {
    struct RegisterServiceDestination {
        service_id: String,
        min_aal: f64,
        min_ial: f64,
        supported_namespace_list: Vec<String>,
    }

    struct UpdateServiceDestination {
        service_id: String,
        min_aal: f64,
        min_ial: f64,
        supported_namespace_list: Vec<String>,
    }

    struct DisableServiceDestination {
        service_id: String,
    }

    struct EnableServiceDestination {
        service_id: String,
    }
}

fn lists(offers: Option<&Vec<Offer>>, id: &str) -> bool {
    offers.is_some_and(|offers| offers.iter().any(|offer| offer.id == id))
}

impl Method for RegisterServiceDestination {
    const NAME: &'static str = "RegisterServiceDestination";
    const CALLER: AllowedCaller = AllowedCaller::As;
    const PAID: bool = true;

    fn run(self, state: &mut State, call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        let (service_id, as_id) = (self.service_id, call.node_id);
        if !state.service(&service_id)?.active {
            return Err(refused::SERVICE_DISABLED);
        }
        if lists(state.provided.get(as_id), &service_id) {
            return Err(refused::SERVICE_PROVIDED);
        }
        if state.approval(&service_id, as_id) != Some(true) {
            return Err(refused::NOT_APPROVED);
        }
        if lists(state.destinations.get(&service_id), as_id) {
            return Err(refused::DESTINATION_EXISTS);
        }
        let offer = |id: &str| Offer {
            id: id.to_owned(),
            min_ial: self.min_ial,
            min_aal: self.min_aal,
            namespaces: self.supported_namespace_list.clone(),
            active: true,
        };
        let provided = state.provided.entry(as_id.to_owned()).or_default();
        provided.push(offer(&service_id));
        let destinations = state.destinations.entry(service_id).or_default();
        destinations.push(offer(as_id));
        Ok(MethodResult::default())
    }
}

/// Changes the caller's offer in both lists, if it is there.
fn change_offer(
    state: &mut State,
    service_id: &str,
    as_id: &str,
    change: impl Fn(&mut Offer),
) -> Result<MethodResult, TxRefusal> {
    state.service(service_id)?;
    let destinations = state.destinations.get_mut(service_id);
    let destinations = destinations.ok_or(refused::DESTINATIONS_UNKNOWN)?;
    let provided = state.provided.get_mut(as_id);
    let in_service = destinations.iter_mut().filter(|offer| offer.id == as_id);
    let in_as = provided.into_iter().flatten();
    let in_as = in_as.filter(|offer| offer.id == service_id);
    in_service.chain(in_as).for_each(change);
    Ok(MethodResult::default())
}

impl Method for UpdateServiceDestination {
    const NAME: &'static str = "UpdateServiceDestination";
    const CALLER: AllowedCaller = AllowedCaller::As;
    const PAID: bool = true;

    fn run(self, state: &mut State, call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        change_offer(state, &self.service_id, call.node_id, |offer| {
            if self.min_aal > 0.0 {
                offer.min_aal = self.min_aal;
            }
            if self.min_ial > 0.0 {
                offer.min_ial = self.min_ial;
            }
            if !self.supported_namespace_list.is_empty() {
                offer.namespaces.clone_from(&self.supported_namespace_list);
            }
        })
    }
}

impl Method for DisableServiceDestination {
    const NAME: &'static str = "DisableServiceDestination";
    const CALLER: AllowedCaller = AllowedCaller::As;
    const PAID: bool = true;

    fn run(self, state: &mut State, call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        change_offer(state, &self.service_id, call.node_id, |offer| {
            offer.active = false;
        })
    }
}

impl Method for EnableServiceDestination {
    const NAME: &'static str = "EnableServiceDestination";
    const CALLER: AllowedCaller = AllowedCaller::As;
    const PAID: bool = true;

    fn run(self, state: &mut State, call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        change_offer(state, &self.service_id, call.node_id, |offer| {
            offer.active = true;
        })
    }
}
