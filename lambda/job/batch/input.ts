/** OpenAI's limit. */
export const MAX_LINES = 50_000;
const MAX_ERRORS = 100;

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

/** The requests of a file, or what is wrong with it: a file that is wrong in one line isn't run at all. */
export function readLines(
  text: string,
  endpoint: string,
): { readonly lines: readonly Line[]; readonly problems: readonly LineProblem[] } {
  const lines: Line[] = [];
  const problems: LineProblem[] = [];
  const ids = new Set<string>();
  const texts = text.split(/\r?\n/);
  for (const [index, each] of texts.entries()) {
    if (each.trim() === '') continue;
    const problem = (code: string, message: string, param: string | null = null): void => {
      if (problems.length < MAX_ERRORS) problems.push({ code, message, param, line: index + 1 });
    };
    let entry: Record<string, unknown>;
    try {
      entry = JSON.parse(each) as Record<string, unknown>;
    } catch {
      problem('invalid_json_line', 'This line is not parseable as valid JSON.');
      continue;
    }
    const { custom_id: customId, method, url, body } = entry ?? {};
    if (typeof customId !== 'string' || customId === '') {
      problem('missing_required_parameter', 'Missing required parameter: custom_id.', 'custom_id');
    } else if (ids.has(customId)) {
      problem('duplicate_custom_id', `The custom_id '${customId.slice(0, 64)}' was used before.`, 'custom_id');
    } else if (method !== 'POST') {
      problem('invalid_method', "The method must be 'POST'.", 'method');
    } else if (url !== endpoint) {
      problem('invalid_url', `The url must be the batch's endpoint, '${endpoint}'.`, 'url');
    } else if (typeof body !== 'object' || body === null || Array.isArray(body)) {
      problem('missing_required_parameter', 'Missing required parameter: body.', 'body');
    } else {
      ids.add(customId);
      const { model } = body as { model?: unknown };
      lines.push({ customId, model: typeof model === 'string' ? model : '', request: JSON.stringify(body) });
    }
  }
  if (lines.length > MAX_LINES) {
    problems.push({
      code: 'too_many_tasks',
      message: `A batch has at most ${MAX_LINES} lines.`,
      param: null,
      line: null,
    });
  }
  if (lines.length === 0 && problems.length === 0) {
    problems.push({ code: 'empty_file', message: 'The file has no lines.', param: null, line: null });
  }
  return { lines, problems };
}
