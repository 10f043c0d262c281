// Lines in the host's log, each with the service and the trace id.

function line(message: string, fields: Record<string, unknown> | undefined): string {
  const told = Object.entries(fields ?? {}).map(([name, value]) => ` ${name}=${typeof value === 'string' ? value : String(value)}`);
  return `${message}${told.join('')}`.replaceAll('\n', '\\n');
}

export const log = {
  /** What happened. */
  info: (message: string, fields?: Record<string, unknown>): void => console.log(line(message, fields)),
  /** What somebody should look at. */
  warn: (message: string, fields?: Record<string, unknown>): void => console.error(line(message, fields)),
};
