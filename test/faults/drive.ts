import OpenAI, { APIError } from 'openai';
import type { TestGateway } from './gateway.ts';

export interface Seen {
  readonly text: string;
  readonly backend: string | null;
  /** Status and class, as an application would catch it. */
  readonly error: string | undefined;
}

/** One chat completion by the OpenAI SDK, without the SDK's own retries. */
export async function ask({ url }: TestGateway, stream: boolean): Promise<Seen> {
  const client = new OpenAI({ baseURL: url, apiKey: 'x', maxRetries: 0, timeout: 10_000 });
  const messages = [{ role: 'user' as const, content: 'hello' }];
  let text = '';
  let backend: string | null = null;
  try {
    if (stream) {
      const { data, response } = await client.chat.completions
        .create({ model: 'chat', messages, stream })
        .withResponse();
      backend = response.headers.get('x-llm-backend');
      for await (const { choices } of data) text += choices[0]?.delta.content ?? '';
    } else {
      const { data, response } = await client.chat.completions.create({ model: 'chat', messages }).withResponse();
      backend = response.headers.get('x-llm-backend');
      text = data.choices[0]?.message.content ?? '';
    }
    return { text, backend, error: undefined };
  } catch (error) {
    if (!(error instanceof APIError)) throw error;
    return { text, backend, error: `${error.status === undefined ? '' : `${error.status} `}${error.constructor.name}` };
  }
}

/** Sums a metric that the log holds by backend. */
export function billed(log: ReadonlyArray<Record<string, unknown>>, name: string, backend?: string): number {
  return log
    .filter((line) => backend === undefined || line.backend === backend)
    .filter((line) => directivesOf(line).some((set) => set.dimensions.includes('backend') && set.names.includes(name)))
    .reduce((sum, line) => sum + (line[name] as number), 0);
}

function directivesOf(line: Record<string, unknown>): Array<{ dimensions: string[]; names: string[] }> {
  const { CloudWatchMetrics: sets = [] } = (line._aws ?? {}) as {
    CloudWatchMetrics?: { Dimensions: string[][]; Metrics: { Name: string }[] }[];
  };
  return sets.map((set) => ({ dimensions: set.Dimensions[0] ?? [], names: set.Metrics.map((metric) => metric.Name) }));
}
