// The service `my-service`: which path is whose.
import { router } from 'archipel';
//~ events
import { handle, send } from './events.ts';
//~ postgres
import { create, list, says } from './notes.ts';
//~ keyvalue
import { count } from './visits.ts';
//~ end

const routes = router()
  //~ postgres
  .get('/notes', list, says.list)
  .post('/notes', create, says.create)
  //~ keyvalue
  .post('/visits', count, { summary: 'Counts a visit' })
  //~ events
  .post('/events', send, { summary: 'Publishes an event' })
  //~ end
  //~ !added
  .get('/', () => ({ hello: 'my-service' }), { summary: 'A greeting' });
  //~ added
  .get('/my-service', () => ({ hello: 'my-service' }), { summary: 'A greeting' });
  //~ end

//~ events
export default { fetch: routes.fetch, consume: handle };
//~ !events
export default routes;
//~ end
