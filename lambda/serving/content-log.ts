import type { ChatCompletion, ChatMessage } from '../contract/openai.ts';

/** Bytes. CloudWatch Logs refuses an event above 1 MB (1,048,576 bytes); escapes double JSON at most. */
const MAX_BYTES = 500_000;

/** Prompt and answer of one request, for deployments whose owner asked to have them logged. */
export class ContentLog {
  readonly #messages: readonly ChatMessage[];
  readonly #frames: Uint8Array[] = [];
  #bytes = 0;
  #completion: ChatCompletion | undefined;

  constructor(messages: readonly ChatMessage[]) {
    this.#messages = messages;
  }

  addFrame(bytes: Uint8Array): void {
    if (this.#bytes > MAX_BYTES) return;
    this.#bytes += bytes.length;
    this.#frames.push(bytes);
  }

  setCompletion(completion: ChatCompletion): void {
    this.#completion = completion;
  }

  line(requestId: string): string {
    const answer =
      this.#completion?.choices.map(({ message }) => message) ??
      Buffer.concat(this.#frames)
        .toString()
        .split('\n\n')
        .filter((event) => event !== '')
        .flatMap((event) => deltasOf(event.slice('data: '.length)));
    return JSON.stringify({
      timestamp: new Date().toISOString(),
      level: 'INFO',
      message: 'content',
      request_id: requestId,
      messages: shortened(this.#messages),
      answer: shortened(answer),
    });
  }
}

/** What isn't the event of a chat completion (backends send such, too) is logged as it is. */
function deltasOf(data: string): unknown[] {
  try {
    const { choices } = JSON.parse(data) as { choices?: ReadonlyArray<{ delta?: unknown }> };
    return choices?.map(({ delta }) => delta) ?? [];
  } catch {
    return [data];
  }
}

/** As it is, while it fits: JSON that is cut is only a text. */
function shortened(value: unknown): unknown {
  const text = JSON.stringify(value, (_key, item) =>
    typeof item === 'string' && /^data:[^,]{0,100};base64,/.test(item)
      ? `${item.slice(0, 40)}... (${item.length})`
      : item,
  );
  const bytes = Buffer.from(text);
  return bytes.length <= MAX_BYTES / 2 ? JSON.parse(text) : `${bytes.subarray(0, MAX_BYTES / 2).toString()}...`;
}
