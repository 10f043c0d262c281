//! What is made of the contract, `archipel:postgres`.

wasmtime::component::bindgen!({
    path: "../wit",
    world: "archipel:service/databases",
    imports: { default: async | trappable },
    with: {
        "archipel:postgres/client.database": super::open::OpenDatabase,
        "archipel:postgres/client.transaction": super::open::OpenTransaction,
    },
    require_store_data_send: true,
});
