// What the host refuses arrives as a thrown object with a `payload`: a tag, and what belongs to it.

export interface Fault {
  tag: string;
  val?: unknown;
}

/** Calls the host; what it refuses is made an error by `made`. */
export function asked<T>(ask: () => T, made: (fault: Fault) => Error): T {
  try {
    return ask();
  } catch (error) {
    const payload = (error as { payload?: Fault } | null)?.payload;
    throw payload && typeof payload.tag === 'string' ? made(payload) : error;
  }
}

/** The text of a fault that has one. */
export function words(fault: Fault): string {
  return typeof fault.val === 'string' ? `${fault.tag}: ${fault.val}` : fault.tag;
}

/** The status that tells a client what to do about it. */
export function statusFor(tag: string): number {
  return tag === 'unavailable' || tag === 'overloaded' ? 503 : tag === 'timeout' ? 504 : 500;
}
