// A user by id as a system of Deno and Oak has it: a gateway that reads the token's claims and hands on to a users
// service, which asks PostgreSQL. Each is a process and writes a line for each request. ROLE is which of them.
import { createRequire } from "node:module";
import { Application, Router } from "oak/mod.js";
import { Server } from "oak/http_server_native.js";

const setting = (name) => Deno.env.get(name) ?? "";
const app = new Application({ serverConstructor: Server });
const router = new Router();
const require = createRequire(`${setting("MODULES")}/`);
const told = (body, trace) => ({ ...body, timestamp: new Date().toISOString(), traceId: trace });

// The line of each request, and its id.
app.use(async (context, next) => {
  const began = Date.now();
  const { request, response, state } = context;
  state.trace = request.headers.get("x-trace-id") ?? crypto.randomUUID();
  await next();
  response.headers.set("x-trace-id", state.trace);
  console.log(JSON.stringify({
    timestamp: new Date().toISOString(), service: setting("ROLE"), traceId: state.trace, method: request.method,
    path: request.url.pathname, status: response.status, ms: Date.now() - began,
  }));
});

router.get("/health/ready", ({ response }) => { response.body = { status: "healthy" }; });

if (setting("ROLE") === "gateway") {
  const refused = (context, error) => {
    context.response.status = 401;
    context.response.body = told({ success: false, error }, context.state.trace);
  };
  router.get("/api/users/:id", async (context) => {
    const [scheme, token] = (context.request.headers.get("authorization") ?? "").split(" ");
    if (scheme !== "Bearer" || !token) return refused(context, "Missing or invalid authorization header");
    try {
      // Read and not verified.
      context.state.user = JSON.parse(atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/")));
    } catch {
      return refused(context, "Invalid or expired token");
    }
    const cancel = new AbortController();
    const timer = setTimeout(() => cancel.abort(), 5000);
    const answer = await fetch(`http://${setting("BEHIND")}/api/users/${context.params.id}`, {
      headers: { "content-type": "application/json", "x-trace-id": context.state.trace },
      signal: cancel.signal,
    });
    clearTimeout(timer);
    context.response.status = answer.status;
    context.response.body = await answer.json();
  });
} else {
  const one = 'select id, email, name, created_at as "createdAt", updated_at as "updatedAt" from users where id = $1';
  const database = { host: setting("PGHOST"), port: 5432, user: setting("PGUSER"), database: setting("PGDATABASE") };
  const find = setting("DRIVER") === "postgres" ? pooled(database) : await alone(database);
  router.get("/api/users/:id", async (context) => {
    const [user] = await find(context.params.id);
    context.response.status = user ? 200 : 404;
    const body = user ? { success: true, data: user } : { success: false, error: "User not found" };
    context.response.body = told(body, context.state.trace);
  });

  // One connection, one statement at a time.
  async function alone(database) {
    const client = new (require("pg").Client)(database);
    await client.connect();
    return async (id) => (await client.query(one, [id])).rows;
  }

  // Four connections, statements prepared and sent one behind the other.
  function pooled(database) {
    const sql = require("postgres")({ ...database, max: 4 });
    return (id) => sql.unsafe(one, [id], { prepare: true });
  }
}

app.use(router.routes());
await app.listen({ hostname: "127.0.0.1", port: Number(setting("PORT")) });
