//! What is made of the contract, `archipel:http/handler`, which a component exports: a request is written into it from
//! where it lies.

wasmtime::component::bindgen!({
    path: "../wit",
    world: "archipel:service/quick-door",
    exports: { default: async },
    ownership: Borrowing { duplicate_if_necessary: false },
    require_store_data_send: true,
});
