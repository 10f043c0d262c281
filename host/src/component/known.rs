//! Whether the host's own interfaces have the form in a component that they have here. One that was built for another
//! version of them is found when it is loaded, not by its first request.

use wasmtime::component::{
    Component,
    types::{ComponentFunc, ComponentItem, Type},
};

/// The exports that the host calls, and the function of each as [`shape`] writes it.
const CALLED: [(&str, &str); 2] = [
    (
        super::doors::QUICK,
        "{method: string, scheme: http|https, authority: string, target: string, fields: list<u8>, body: list<u8>} -> \
         {response: {status: u16, headers: list<(string, list<u8>)>, body: list<u8>}, retire: bool}",
    ),
    (
        crate::capability::messaging::CONSUMER,
        "{id: string, attempt: u32, max-attempts: u32, published-at: u64, message: {topic: string, key: option<string>, \
         content-type: option<string>, headers: list<(string, string)>, body: list<u8>}} -> \
         result<_, [retry(option<u64>), reject(string)]>",
    ),
];

/// The name of the function in each of them.
const HANDLE: &str = "handle";

/// The first export that the host would call and that is something else there.
pub(super) fn strange_export(component: &Component) -> Option<&'static str> {
    let (engine, ty) = (component.engine(), component.component_type());
    let is_strange = |(name, shape): &(&str, &str)| {
        let Some(export) = ty.get_export(engine, name) else { return false };
        let ComponentItem::ComponentInstance(instance) = export.ty else { return true };
        match instance.get_export(engine, HANDLE).map(|function| function.ty) {
            Some(ComponentItem::ComponentFunc(function)) => self::shape(&function) != *shape,
            _ => true,
        }
    };
    CALLED.into_iter().find(is_strange).map(|(name, _)| name)
}

/// What goes in and what comes out.
fn shape(function: &ComponentFunc) -> String {
    let list = |types: Vec<Type>| types.iter().map(written).collect::<Vec<_>>().join(", ");
    let (takes, gives) = (function.params().map(|(_, ty)| ty).collect(), function.results().collect());
    format!("{} -> {}", list(takes), list(gives))
}

/// A type by its structure.
fn written(ty: &Type) -> String {
    let optional = |ty: Option<Type>| ty.as_ref().map_or_else(|| "_".to_owned(), written);
    let all = |types: &mut dyn Iterator<Item = String>| types.collect::<Vec<_>>().join(", ");
    match ty {
        Type::Bool => "bool".into(),
        Type::U8 => "u8".into(),
        Type::U16 => "u16".into(),
        Type::U32 => "u32".into(),
        Type::U64 => "u64".into(),
        Type::String => "string".into(),
        Type::List(list) => format!("list<{}>", written(&list.ty())),
        Type::Tuple(tuple) => format!("({})", all(&mut tuple.types().map(|ty| written(&ty)))),
        Type::Option(option) => format!("option<{}>", written(&option.ty())),
        Type::Result(result) => format!("result<{}, {}>", optional(result.ok()), optional(result.err())),
        Type::Enum(cases) => cases.names().collect::<Vec<_>>().join("|"),
        Type::Record(record) => {
            let field = |name: &str, ty: &Type| format!("{name}: {}", written(ty));
            format!("{{{}}}", all(&mut record.fields().map(|of| field(of.name, &of.ty))))
        }
        Type::Variant(variant) => {
            let case = |name: &str, ty: Option<Type>| match ty {
                Some(ty) => format!("{name}({})", written(&ty)),
                None => name.to_owned(),
            };
            format!("[{}]", all(&mut variant.cases().map(|of| case(of.name, of.ty))))
        }
        // No interface that the host calls has one.
        other => format!("{other:?}"),
    }
}
