import type { Frame, Usage } from '../backend.ts';
import { toCompletionUsage } from './usage.ts';

export interface AnswerHead {
  readonly id: string;
  /** Unix seconds. */
  readonly created: number;
  /** As the client named it. */
  readonly model: string;
}

const encoder = new TextEncoder();

/** Makes the frames of one answer. What doesn't change is serialized once. */
export class ChunkWriter {
  readonly #head: string;

  constructor(head: AnswerHead) {
    const fields = JSON.stringify({
      id: head.id,
      object: 'chat.completion.chunk',
      created: head.created,
      model: head.model,
    });
    this.#head = `data: ${fields.slice(0, -1)},"choices":[`;
  }

  role(): Frame {
    return this.#frame({ role: 'assistant', content: '' }, false);
  }

  delta(delta: object): Frame {
    return this.#frame(delta, true);
  }

  finish(finishReason: string): Frame {
    const bytes = this.#encode(`{"index":0,"delta":{},"finish_reason":${JSON.stringify(finishReason)}}]}`);
    return { bytes, output: true, finishReason, usageOnly: false };
  }

  usage(usage: Usage): Frame {
    const bytes = this.#encode(`],"usage":${JSON.stringify(toCompletionUsage(usage))}}`);
    return { bytes, output: false, usage, usageOnly: true };
  }

  #frame(delta: object, output: boolean): Frame {
    const bytes = this.#encode(`{"index":0,"delta":${JSON.stringify(delta)},"finish_reason":null}]}`);
    return { bytes, output, usageOnly: false };
  }

  #encode(rest: string): Uint8Array {
    return encoder.encode(`${this.#head}${rest}\n\n`);
  }
}
