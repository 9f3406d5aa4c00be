//! The protocol's transcripts: publishers, subscribers and a failing network in virtual time, counted to the datagram.
//!
//! Both sides are driven exactly by their contract, every hop carries encoded bytes, and after every step the books
//! are checked (`transcripts/rig`). A test says what the network does, and asserts how many NAKs were sent and how
//! many batches were repaired.

mod transcripts {
    mod rig;

    mod flow;
    mod forged;
    mod fragment;
    mod group;
    mod loss;
    mod mode;
    mod reorder;
    mod session;
    mod threats;
    mod trust;
}
