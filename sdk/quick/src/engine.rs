//! The one JavaScript context of an instance: made by the build, kept in the component's memory, asked by the doors.

use std::cell::OnceCell;

use rquickjs::{
    CatchResultExt as _, CaughtError, Context, Ctx, Error, Function, Object, Persistent, Promise, Runtime, Value,
    context::EvalOptions, promise::PromiseState,
};

use crate::{depth, host, outside, rejections, web};

/// What a call may take of the stack, which is 1 MiB; the host allows the engine's own frames 512 KiB.
const STACK_MAX_BYTES: usize = 192 << 10;
/// Garbage in circles is looked for when so much is new since the last time.
const GARBAGE_BYTES: usize = 8 << 20;

/// The web's types and what they ask of us, in JavaScript; the order counts.
const WEB: &str = concat!(
    "(native) => {'use strict';",
    include_str!("../js/errors.js"),
    include_str!("../js/text.js"),
    include_str!("../js/events.js"),
    include_str!("../js/streams.js"),
    include_str!("../js/url.js"),
    include_str!("../js/blob.js"),
    include_str!("../js/headers.js"),
    include_str!("../js/body.js"),
    include_str!("../js/fetch.js"),
    include_str!("../js/clone.js"),
    include_str!("../js/console.js"),
    include_str!("../js/crypto.js"),
    include_str!("../js/timers.js"),
    include_str!("../js/host.js"),
    include_str!("../js/globals.js"),
    "}"
);

thread_local! {
    static ENGINE: OnceCell<Engine> = const { OnceCell::new() };
}

/// A context with a service in it.
struct Engine {
    context: Context,
    /// Owns what the context lives in.
    _runtime: Runtime,
    functions: Functions,
}

/// What the doors call.
struct Functions {
    answer: Persistent<Function<'static>>,
    consume: Persistent<Function<'static>>,
    /// Tells what was rejected and is awaited by nobody: the reasons, and how many more there are.
    abandoned: Persistent<Function<'static>>,
    /// Seeds what must differ between instances; once, before the first call.
    wake: Persistent<Function<'static>>,
    /// Milliseconds until the next timer is due; less than nothing if there is none.
    wait: Persistent<Function<'static>>,
    /// Runs the timers that are due.
    ring: Persistent<Function<'static>>,
    /// Hands over what came of a request to the outside.
    settle: Persistent<Function<'static>>,
}

/// A call that did not come to its end, in words for the log.
#[derive(Debug)]
pub struct Broken(pub String);

/// Evaluates a service. Once, by the build.
///
/// # Errors
/// What its module threw, with the stack.
pub fn prepare(bundle: &str) -> Result<(), Broken> {
    let made = || -> rquickjs::Result<(Runtime, Context)> {
        let runtime = Runtime::new()?;
        runtime.set_max_stack_size(STACK_MAX_BYTES);
        runtime.set_gc_threshold(GARBAGE_BYTES);
        rejections::follow(&runtime);
        let context = Context::full(&runtime)?;
        Ok((runtime, context))
    };
    let (runtime, context) = made().map_err(|error| Broken(error.to_string()))?;
    let functions = context.with(|ctx| evaluated(&ctx, bundle).catch(&ctx).map_err(|error| Broken(told(&error))))?;
    // What the module has begun, a handler may await.
    rejections::forget();
    runtime.run_gc();
    ENGINE.with(|engine| {
        engine
            .set(Engine { context, _runtime: runtime, functions })
            .map_err(|_| Broken("a service is prepared once".to_owned()))
    })
}

fn evaluated<'js>(ctx: &Ctx<'js>, bundle: &str) -> rquickjs::Result<Functions> {
    let options = |file: &str| {
        let mut options = EvalOptions::default();
        options.filename = Some(file.to_owned());
        options
    };
    let web: Function = ctx.eval_with_options(WEB, options("archipel:web"))?;
    let native = Object::new(ctx.clone())?;
    depth::install(ctx, &native)?;
    web::install(ctx, &native)?;
    host::install(ctx, &native)?;
    outside::install(ctx, &native)?;
    let inner: Object = web.call((native,))?;
    let keep = |name: &str| -> rquickjs::Result<Persistent<Function<'static>>> {
        Ok(Persistent::save(ctx, inner.get::<_, Function>(name)?))
    };
    let [wake, wait, ring, settle] = [keep("wake")?, keep("wait")?, keep("ring")?, keep("settle")?];
    let mut module = options("bundle.js");
    module.global = false;
    let evaluation: Promise = ctx.eval_with_options(bundle, module)?;
    while ctx.execute_pending_job() {}
    if evaluation.state() == PromiseState::Pending {
        return Err(rquickjs::Exception::throw_message(
            ctx,
            "a module waits for something at its top level: only a handler may",
        ));
    }
    evaluation.finish::<Value>()?;
    let service: Object = ctx.globals().get("__archipelService")?;
    let called = |name: &str| -> rquickjs::Result<Persistent<Function<'static>>> {
        Ok(Persistent::save(ctx, service.get::<_, Function>(name)?))
    };
    let [answer, consume, abandoned] = [called("answer")?, called("consume")?, called("abandoned")?];
    Ok(Functions { answer, consume, abandoned, wake, wait, ring, settle })
}

/// Calls the service and goes on until its promise is settled.
///
/// # Errors
/// It threw, its promise was rejected, or can never be settled.
pub fn call<R>(
    which: Call,
    begin: impl for<'js> FnOnce(&Ctx<'js>, Function<'js>) -> rquickjs::Result<Value<'js>>,
    end: impl for<'js> FnOnce(&Ctx<'js>, Value<'js>) -> rquickjs::Result<R>,
) -> Result<R, Broken> {
    ENGINE.with(|engine| {
        let engine = engine.get().ok_or_else(|| Broken("no service was prepared".to_owned()))?;
        engine.context.with(|ctx| {
            let done = || {
                engine.functions.wake.clone().restore(&ctx)?.call::<_, ()>(())?;
                let function = match which {
                    Call::Answer => engine.functions.answer.clone(),
                    Call::Consume => engine.functions.consume.clone(),
                };
                let begun = begin(&ctx, function.restore(&ctx)?)?;
                let value = engine.settled(&ctx, begun)?;
                end(&ctx, value)
            };
            let done = done().catch(&ctx).map_err(|error| Broken(told(&error)));
            engine.tell_abandoned(&ctx);
            done
        })
    })
}

/// What of a service is called.
#[derive(Debug, Clone, Copy)]
pub enum Call {
    Answer,
    Consume,
}

/// Goes on until a promise that JavaScript gave is settled; for a body that is a stream.
pub fn wait<'js>(ctx: &Ctx<'js>, value: Value<'js>) -> rquickjs::Result<Value<'js>> {
    ENGINE.with(|engine| match engine.get() {
        Some(engine) => engine.settled(ctx, value),
        None => Ok(value),
    })
}

impl Engine {
    /// At the end of a call: who would await it has gone.
    fn tell_abandoned(&self, ctx: &Ctx) {
        let (reasons, more) = rejections::left(ctx);
        if reasons.is_empty() {
            return;
        }
        let tell = || self.functions.abandoned.clone().restore(ctx)?.call::<_, ()>((reasons, more));
        if let Err(error) = tell().catch(ctx) {
            web::print(true, &told(&error));
        }
    }

    fn settled<'js>(&self, ctx: &Ctx<'js>, value: Value<'js>) -> rquickjs::Result<Value<'js>> {
        let Some(promise) = value.clone().into_promise() else { return Ok(value) };
        loop {
            while ctx.execute_pending_job() {}
            if promise.state() != PromiseState::Pending {
                rejections::awaited(ctx, &promise);
                return promise.finish();
            }
            let wait: f64 = self.functions.wait.clone().restore(ctx)?.call(())?;
            match outside::next(wait) {
                outside::Next::Ring => self.functions.ring.clone().restore(ctx)?.call::<_, ()>(())?,
                outside::Next::Came(number, came) => {
                    let settle = self.functions.settle.clone().restore(ctx)?;
                    outside::hand_over(ctx, &settle, number, came)?;
                }
                outside::Next::Nothing => {
                    return Err(rquickjs::Exception::throw_message(
                        ctx,
                        "the service waits for a promise that nothing will settle",
                    ));
                }
            }
        }
    }
}

fn told(error: &CaughtError) -> String {
    match error {
        CaughtError::Exception(exception) => {
            let name: Option<String> = exception.as_object().get("name").ok();
            let message = exception.message().unwrap_or_default();
            let stack = exception.stack().unwrap_or_default();
            format!("{}: {message}\n{stack}", name.unwrap_or_else(|| "Error".to_owned()))
        }
        CaughtError::Value(value) => format!("thrown: {value:?}"),
        CaughtError::Error(Error::Allocation) => "out of memory".to_owned(),
        CaughtError::Error(error) => error.to_string(),
    }
}
