import type { Frame } from '../backends/backend.ts';
import { parseFrame } from './frame-delta.ts';
import { Seam } from './seam.ts';
import type { StartedStream } from './start-stream.ts';

export interface SpliceOptions {
  /** An event of the stream that broke off: its id, its time and its model's name go on. */
  readonly sample: Frame;
  /** What the client has of the text. */
  readonly text: string;
  /** The backend may say again what the client has. */
  readonly mayRepeat: boolean;
}

/** Makes a stream the continuation of another: one id, no second role, no text twice. */
export function splice(started: StartedStream, options: SpliceOptions): StartedStream {
  const writer = new Splice(options);
  return {
    opening: started.opening.flatMap((frame) => writer.next(frame)),
    rest: rewritten(started.rest, writer),
  };
}

async function* rewritten(rest: AsyncIterator<Frame>, writer: Splice): AsyncGenerator<Frame, undefined> {
  try {
    for (;;) {
      const { value, done } = await rest.next();
      if (done) return undefined;
      yield* writer.next(value);
    }
  } finally {
    await rest.return?.();
  }
}

type Chunk = Record<string, unknown> & {
  choices?: ReadonlyArray<Record<string, unknown> & { delta?: Record<string, unknown> }>;
};

class Splice {
  readonly #head: Record<string, unknown>;
  readonly #seam: Seam | undefined;
  readonly #isMiddle: boolean;

  constructor({ sample, text, mayRepeat }: SpliceOptions) {
    const { id, created, model, system_fingerprint: fingerprint } = parseFrame(sample);
    this.#head = { id, created, model, ...(fingerprint === undefined ? {} : { system_fingerprint: fingerprint }) };
    this.#seam = mayRepeat && text !== '' ? new Seam(text) : undefined;
    this.#isMiddle = text !== '';
  }

  next(frame: Frame): Frame[] {
    if (frame.usageOnly) return [frame];
    const { system_fingerprint: _, ...chunk } = parseFrame(frame) as Chunk;
    const [choice] = chunk.choices ?? [];
    if (choice === undefined) return frame.usage === undefined ? [] : [{ ...frame, usageOnly: true }];
    const delta = this.#delta(choice.delta ?? {}, frame.finishReason !== undefined);
    if (Object.keys(delta).length === 0 && frame.finishReason === undefined && frame.usage === undefined) return [];
    const event = { ...chunk, ...this.#head, choices: [{ ...choice, delta }] };
    return [{ ...frame, bytes: Buffer.from(`data: ${JSON.stringify(event)}\n\n`) }];
  }

  #delta(delta: Record<string, unknown>, isLast: boolean): Record<string, unknown> {
    const { role: _, content, ...rest } = delta;
    if (this.#isMiddle) {
      // Thoughts come before an answer, not inside it.
      for (const name of ['reasoning_content', 'reasoning', 'thinking_blocks']) delete rest[name];
    }
    const text = typeof content === 'string' ? content : '';
    const isOver = isLast || rest.tool_calls !== undefined;
    const fresh = this.#seam === undefined ? text : this.#seam.push(text) + (isOver ? this.#seam.end() : '');
    return fresh === '' ? rest : { ...rest, content: fresh };
  }
}
