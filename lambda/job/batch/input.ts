/** OpenAI's limit. */
export const MAX_LINES = 50_000;
const MAX_ERRORS = 100;
/** Characters: it is a part of an item's, and of each line that tells of it. */
const MAX_CUSTOM_ID = 512;
/** No model has a longer name; what isn't one is refused when its line is run, and told with it. */
const MAX_MODEL = 256;

export interface Line {
  readonly customId: string;
  readonly model: string;
  readonly request: string;
}

export interface LineProblem {
  readonly code: string;
  readonly message: string;
  readonly param: string | null;
  readonly line: number | null;
}

/**
 * The requests of a file's lines, one after another; what is wrong with it is gathered on the way. A file that is wrong
 * in one line isn't run at all.
 */
export class Requests {
  readonly problems: LineProblem[] = [];
  count = 0;
  readonly #endpoint: string;
  readonly #ids = new Set<string>();

  constructor(endpoint: string) {
    this.#endpoint = endpoint;
  }

  /** @param lines a line that is too long is `undefined` */
  async *of(lines: AsyncIterable<string | undefined>): AsyncGenerator<Line> {
    let number = 0;
    for await (const text of lines) {
      number++;
      if (text?.trim() === '') continue;
      const line = this.#read(text, number);
      if (line === undefined) continue;
      this.count++;
      if (this.count > MAX_LINES) {
        this.#tell('too_many_tasks', `A batch has at most ${MAX_LINES} lines.`, null, null);
        return;
      }
      yield line;
    }
    if (this.count === 0 && this.problems.length === 0) {
      this.#tell('empty_file', 'The file has no lines.', null, null);
    }
  }

  #tell(code: string, message: string, param: string | null, line: number | null): undefined {
    if (this.problems.length < MAX_ERRORS) this.problems.push({ code, message, param, line });
  }

  #read(text: string | undefined, number: number): Line | undefined {
    const problem = (code: string, message: string, param: string | null = null): undefined =>
      this.#tell(code, message, param, number);
    if (text === undefined) return problem('line_too_long', 'This line is longer than a request may be.');
    let entry: Record<string, unknown> | null;
    try {
      entry = JSON.parse(text) as Record<string, unknown> | null;
    } catch {
      return problem('invalid_json_line', 'This line is not parseable as valid JSON.');
    }
    const { custom_id: customId, method, url, body } = entry ?? {};
    if (typeof customId !== 'string' || customId === '') {
      return problem('missing_required_parameter', 'Missing required parameter: custom_id.', 'custom_id');
    }
    if (customId.length > MAX_CUSTOM_ID) {
      return problem('invalid_custom_id', `The custom_id is longer than ${MAX_CUSTOM_ID} characters.`, 'custom_id');
    }
    if (this.#ids.has(customId)) {
      return problem('duplicate_custom_id', `The custom_id '${customId.slice(0, 64)}' was used before.`, 'custom_id');
    }
    if (method !== 'POST') return problem('invalid_method', "The method must be 'POST'.", 'method');
    if (url !== this.#endpoint) {
      return problem('invalid_url', `The url must be the batch's endpoint, '${this.#endpoint}'.`, 'url');
    }
    if (typeof body !== 'object' || body === null || Array.isArray(body)) {
      return problem('missing_required_parameter', 'Missing required parameter: body.', 'body');
    }
    this.#ids.add(customId);
    const { model } = body as { model?: unknown };
    return {
      customId,
      model: typeof model === 'string' ? model.slice(0, MAX_MODEL) : '',
      request: JSON.stringify(body),
    };
  }
}
