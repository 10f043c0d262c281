// itty-router below a path, and what it makes of requests. The app that the package itself shows is built from its
// README.md, as it stands there.
import { AutoRouter } from 'itty-router';

const router = AutoRouter({ base: '/itty' });

router
  .get('/hello/:name', ({ name }) => `Hello, ${name}!`)
  .get('/json', () => [1, 2, 3])
  .get('/promises', () => Promise.resolve('foo'));

export default router;
