//! What goes over the wires, compared with recordings of a real network.

mod mq_messages;
