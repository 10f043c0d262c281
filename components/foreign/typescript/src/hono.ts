// What apps of Hono use besides: parameters, bodies, headers, middleware, an answer of one's own for what is not there.
// The app that the package itself shows is built from its README.md, as it stands there.
import { Hono } from 'hono';
import { logger } from 'hono/logger';

const app = new Hono().basePath('/hono');

app.use(logger());
app.get('/', (c) => c.text('Hello Hono!'));
app.get('/posts/:id', (c) => {
  const page = c.req.query('page');
  const id = c.req.param('id');
  c.header('X-Message', 'Hi!');
  return c.json({ id, page });
});
app.post('/posts', async (c) => c.json(await c.req.json(), 201));
app.notFound((c) => c.text('Custom 404', 404));

export default app;
