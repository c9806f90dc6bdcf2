import { EventStreamCodec } from '@smithy/eventstream-codec';

const codec = new EventStreamCodec(
  (bytes) => new TextDecoder().decode(bytes),
  (text) => new TextEncoder().encode(text),
);

const ALPHABET = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789';

/** An event of `application/vnd.amazon.eventstream`. The service pads payloads (`p`) so that sizes tell nothing. */
export function encodeEvent(type: string, payload: object): Uint8Array {
  const padding = ALPHABET.slice(0, 1 + Math.floor(Math.random() * ALPHABET.length));
  return encode('event', { ':event-type': type }, { ...payload, p: padding });
}

/** A modeled exception in mid-stream. Its name has a lower-case initial on the wire: it is a union member's name. */
export function encodeException(type: string, message: string): Uint8Array {
  return encode('exception', { ':exception-type': type }, { message });
}

function encode(messageType: string, headers: Record<string, string>, payload: object): Uint8Array {
  const all = { ...headers, ':content-type': 'application/json', ':message-type': messageType };
  return codec.encode({
    headers: Object.fromEntries(Object.entries(all).map(([name, value]) => [name, { type: 'string', value }])),
    body: new TextEncoder().encode(JSON.stringify(payload)),
  });
}
