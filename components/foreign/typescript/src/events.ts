// Handling events: each is kept in a list; one that asks for it is tried twice, one that cannot be right is rejected.
import { kv, Reject, type Event } from 'archipel';

export async function handled(event: Event): Promise<void> {
  const note = event.json<{ text: string }>();
  if (note.text === 'wrong') throw new Reject('a note is not wrong');
  if (note.text === 'later' && event.attempt === 1) throw new Error('not yet');
  await kv('cache').append('handled', JSON.stringify({ ...note, id: event.id, key: event.key, attempt: event.attempt }), 10);
}
