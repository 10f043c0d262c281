// Deno's own server, and nothing else.
const body = Deno.env.get("BODY");
const headers = { "content-type": "text/plain; charset=utf-8" };
Deno.serve(
  { hostname: "127.0.0.1", port: Number(Deno.env.get("PORT")), onListen() {} },
  () => new Response(body, { headers }),
);
