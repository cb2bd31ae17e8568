//! NDID's administration of services (spec/ledger.md 4.8).

use crate::devnet::ledger::app::method::{AllowedCaller, Entry, Method, MethodCall, MethodResult};
use crate::devnet::ledger::app::node::Role;
use crate::devnet::ledger::app::params::params;
use crate::devnet::ledger::app::refusal::{self as refused, TxRefusal};
use crate::devnet::ledger::app::state::{Service, State};

pub const METHODS: &[Entry] = &[
    Entry::of::<AddService>(),
    Entry::of::<UpdateService>(),
    Entry::of::<EnableService>(),
    Entry::of::<DisableService>(),
    Entry::of::<RegisterServiceDestinationByNDID>(),
    Entry::of::<EnableServiceDestinationByNDID>(),
    Entry::of::<DisableServiceDestinationByNDID>(),
    Entry::of::<SetServicePriceCeiling>(),
    Entry::of::<SetServicePriceMinEffectiveDatetimeDelay>(),
];

params! {
    struct AddService {
        service_id: String,
        service_name: String,
        data_schema: String,
        data_schema_version: String,
    }

    struct UpdateService {
        service_id: String,
        service_name: String,
        data_schema: String,
        data_schema_version: String,
    }

    struct EnableService {
        service_id: String,
    }

    struct DisableService {
        service_id: String,
    }

    struct RegisterServiceDestinationByNDID {
        service_id: String,
        node_id: String,
    }

    struct EnableServiceDestinationByNDID {
        service_id: String,
        node_id: String,
    }

    struct DisableServiceDestinationByNDID {
        service_id: String,
        node_id: String,
    }

    struct Ceiling {
        currency: String,
        price: f64,
    }

    struct SetServicePriceCeiling {
        service_id: String,
        price_ceiling_by_currency_list: Vec<Ceiling>,
    }

    struct SetServicePriceMinEffectiveDatetimeDelay {
        service_id: String,
        duration_second: u64,
    }
}

impl Method for AddService {
    const NAME: &'static str = "AddService";
    const CALLER: AllowedCaller = AllowedCaller::Ndid;

    fn run(self, state: &mut State, _call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        if state.service(&self.service_id).is_ok() {
            return Err(refused::SERVICE_EXISTS);
        }
        state.services.push(Service {
            id: self.service_id,
            name: self.service_name,
            data_schema: self.data_schema,
            data_schema_version: self.data_schema_version,
            active: true,
        });
        Ok(MethodResult::default())
    }
}

impl Method for UpdateService {
    const NAME: &'static str = "UpdateService";
    const CALLER: AllowedCaller = AllowedCaller::Ndid;

    fn run(self, state: &mut State, _call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        let service = state.service_mut(&self.service_id)?;
        let changes = [
            (&mut service.name, self.service_name),
            (&mut service.data_schema, self.data_schema),
            (&mut service.data_schema_version, self.data_schema_version),
        ];
        for (field, given) in changes {
            if !given.is_empty() {
                *field = given;
            }
        }
        Ok(MethodResult::default())
    }
}

impl Method for EnableService {
    const NAME: &'static str = "EnableService";
    const CALLER: AllowedCaller = AllowedCaller::Ndid;

    fn run(self, state: &mut State, _call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        state.service_mut(&self.service_id)?.active = true;
        Ok(MethodResult::default())
    }
}

impl Method for DisableService {
    const NAME: &'static str = "DisableService";
    const CALLER: AllowedCaller = AllowedCaller::Ndid;

    fn run(self, state: &mut State, _call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        state.service_mut(&self.service_id)?.active = false;
        Ok(MethodResult::default())
    }
}

fn check_service_and_as(state: &State, service_id: &str, node_id: &str) -> Result<(), TxRefusal> {
    state.service(service_id)?;
    if state.node(node_id)?.role != Role::As {
        return Err(refused::TARGET_NOT_AS);
    }
    Ok(())
}

fn set_approval(
    state: &mut State,
    service_id: String,
    node_id: String,
    active: bool,
) -> Result<MethodResult, TxRefusal> {
    check_service_and_as(state, &service_id, &node_id)?;
    let approval = state.approvals.get_mut(&(service_id, node_id));
    *approval.ok_or(refused::APPROVAL_UNKNOWN)? = active;
    Ok(MethodResult::default())
}

impl Method for RegisterServiceDestinationByNDID {
    const NAME: &'static str = "RegisterServiceDestinationByNDID";
    const CALLER: AllowedCaller = AllowedCaller::Ndid;

    fn run(self, state: &mut State, _call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        check_service_and_as(state, &self.service_id, &self.node_id)?;
        state
            .approvals
            .insert((self.service_id, self.node_id), true);
        Ok(MethodResult::default())
    }
}

impl Method for EnableServiceDestinationByNDID {
    const NAME: &'static str = "EnableServiceDestinationByNDID";
    const CALLER: AllowedCaller = AllowedCaller::Ndid;

    fn run(self, state: &mut State, _call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        set_approval(state, self.service_id, self.node_id, true)
    }
}

impl Method for DisableServiceDestinationByNDID {
    const NAME: &'static str = "DisableServiceDestinationByNDID";
    const CALLER: AllowedCaller = AllowedCaller::Ndid;

    fn run(self, state: &mut State, _call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        set_approval(state, self.service_id, self.node_id, false)
    }
}

impl Method for SetServicePriceCeiling {
    const NAME: &'static str = "SetServicePriceCeiling";
    const CALLER: AllowedCaller = AllowedCaller::Ndid;

    fn run(self, state: &mut State, _call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        state.service(&self.service_id)?;
        let ceilings = self.price_ceiling_by_currency_list.into_iter();
        let ceilings = ceilings.map(|ceiling| (ceiling.currency, ceiling.price));
        state
            .price_ceilings
            .insert(self.service_id, ceilings.collect());
        Ok(MethodResult::default())
    }
}

impl Method for SetServicePriceMinEffectiveDatetimeDelay {
    const NAME: &'static str = "SetServicePriceMinEffectiveDatetimeDelay";
    const CALLER: AllowedCaller = AllowedCaller::Ndid;

    fn run(self, state: &mut State, _call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        let service = (!self.service_id.is_empty()).then_some(self.service_id);
        if let Some(id) = &service {
            state.service(id)?;
        }
        state.price_delays.insert(service, self.duration_second);
        Ok(MethodResult::default())
    }
}
