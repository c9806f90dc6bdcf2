import type { ChatCompletion, CompletionUsage } from '../../contract/openai.ts';

type Fields = Record<string, unknown>;

interface Choice {
  readonly index: number;
  readonly message: Fields;
  readonly tools: Map<number, Fields>;
  finishReason: string | null;
  logprobs: Fields | undefined;
}

/** Makes one answer of a stream's events. */
export class Collector {
  #head: Fields | undefined;
  readonly #choices = new Map<number, Choice>();
  #usage: CompletionUsage | undefined;
  #rest = '';
  #events = 0;
  /** An event that was an error: the stream broke off. */
  error: Fields | undefined;
  /** `[DONE]` came. */
  isDone = false;

  /** As it comes, cut anywhere. */
  push(text: string): void {
    const events = (this.#rest + text.replaceAll('\r\n', '\n')).split('\n\n');
    this.#rest = events.pop() ?? '';
    for (const event of events) this.#event(event);
  }

  /** Events with output so far: about as many tokens. */
  get tokens(): number {
    return this.#events;
  }

  get usage(): CompletionUsage | undefined {
    return this.#usage;
  }

  /** The text of the only choice; `undefined` when there is more to the answer than that. */
  get text(): string | undefined {
    if (this.#choices.size > 1) return undefined;
    const [choice] = this.#choices.values();
    if (choice === undefined) return '';
    if (choice.tools.size > 0 || choice.message.function_call !== undefined) return undefined;
    return typeof choice.message.content === 'string' ? choice.message.content : '';
  }

  /** @param text instead of the only choice's own, where an earlier run had the beginning */
  completion(text?: string): ChatCompletion {
    const choices = [...this.#choices.values()]
      .sort((a, b) => a.index - b.index)
      .map(({ index, message, tools, finishReason, logprobs }) => ({
        index,
        message: {
          role: 'assistant' as const,
          ...message,
          content: text ?? message.content ?? null,
          ...(tools.size === 0
            ? {}
            : { tool_calls: [...tools].sort(([a], [b]) => a - b).map(([, call]) => call) as never }),
        },
        finish_reason: finishReason,
        logprobs: logprobs ?? null,
      }));
    return {
      ...this.#head,
      object: 'chat.completion',
      choices,
      ...(this.#usage === undefined ? {} : { usage: this.#usage }),
    } as unknown as ChatCompletion;
  }

  #event(event: string): void {
    const data = event
      .split('\n')
      .filter((line) => line.startsWith('data:'))
      .map((line) => line.slice(line.startsWith('data: ') ? 6 : 5))
      .join('\n');
    if (data === '') return;
    if (data === '[DONE]') {
      this.isDone = true;
      return;
    }
    const chunk = JSON.parse(data) as Fields & { choices?: ReadonlyArray<Fields> };
    if (chunk.error !== undefined) {
      this.error = chunk.error as Fields;
      return;
    }
    const { choices = [], usage, object: _, ...head } = chunk;
    this.#head ??= head;
    if (usage != null) this.#usage = usage as CompletionUsage;
    for (const choice of choices) this.#choice(choice);
  }

  #choice(part: Fields): void {
    const index = Number(part.index ?? 0);
    const choice = this.#choices.get(index) ?? {
      index,
      message: {},
      tools: new Map(),
      finishReason: null,
      logprobs: undefined,
    };
    this.#choices.set(index, choice);
    if (typeof part.finish_reason === 'string') choice.finishReason = part.finish_reason;
    if (part.logprobs != null) choice.logprobs = joined(choice.logprobs ?? {}, part.logprobs as Fields);
    const { role: _, tool_calls: calls, ...delta } = (part.delta ?? {}) as Fields;
    if (Object.values(delta).some((value) => value != null && value !== '') || calls != null) this.#events++;
    Object.assign(choice.message, joined(choice.message, delta));
    for (const call of (calls ?? []) as Fields[]) {
      const at = Number(call.index ?? choice.tools.size);
      const { index: __, ...fields } = call;
      choice.tools.set(at, joined(choice.tools.get(at) ?? {}, fields));
    }
  }
}

/** Names of fields that come whole, and may come again. */
const WHOLE = new Set(['id', 'type', 'name', 'role']);

/** Texts are appended, lists are lengthened, objects are joined; nothing replaces something. */
function joined(into: Fields, more: Fields): Fields {
  const result = { ...into };
  for (const [name, value] of Object.entries(more)) {
    const before = result[name];
    if (value == null) result[name] ??= value;
    else if (before == null || (WHOLE.has(name) && typeof value === 'string')) result[name] = value;
    else if (typeof before === 'string' && typeof value === 'string') result[name] = before + value;
    else if (Array.isArray(before) && Array.isArray(value)) result[name] = [...before, ...value];
    else if (typeof before === 'object' && typeof value === 'object')
      result[name] = joined(before as Fields, value as Fields);
    else result[name] = value;
  }
  return result;
}
