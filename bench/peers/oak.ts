// Oak on Deno's own server. The npm build of Oak reaches for shims of Deno; an import map gives it the real one.
import { Application } from "oak/mod.js";
import { Server } from "oak/http_server_native.js";

const body = Deno.env.get("BODY");
const app = new Application({ serverConstructor: Server });
app.use((context) => {
  context.response.body = body;
});
await app.listen({ hostname: "127.0.0.1", port: Number(Deno.env.get("PORT")) });
