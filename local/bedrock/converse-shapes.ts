/** The parts of Converse's JSON that the local runtime reads. Blobs are base64 strings on the wire. */
export interface ConverseBody {
  readonly messages: readonly WireMessage[];
  readonly system: readonly WireBlock[];
  readonly tools: readonly WireBlock[];
  readonly toolChoice: Readonly<Record<string, unknown>> | undefined;
  readonly raw: Readonly<Record<string, unknown>>;
}

export interface WireMessage {
  readonly role: 'user' | 'assistant';
  readonly content: readonly WireBlock[];
}

/** A union: one key says which member it is. */
export type WireBlock = Readonly<Record<string, unknown>>;

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
export const record = (value: unknown): Record<string, unknown> => (isRecord(value) ? value : {});
export const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
export const text = (value: unknown): string => (typeof value === 'string' ? value : '');
