import type { GenerateRequest, ModelEvent, TextModel } from '../../../local/model/index.ts';

export const ask = (prompt: string, overrides: Partial<GenerateRequest> = {}): GenerateRequest => ({
  model: 'test',
  messages: [{ role: 'user', text: prompt }],
  tools: [],
  toolChoice: 'auto',
  stop: [],
  reasoning: false,
  ...overrides,
});

export interface Generated {
  readonly events: ModelEvent[];
  readonly text: string;
  readonly reasoning: string;
  readonly calls: { name: string; arguments: string }[];
  readonly end: Extract<ModelEvent, { type: 'end' }>;
}

export async function generate(
  model: TextModel,
  request: GenerateRequest,
  signal: AbortSignal = new AbortController().signal,
): Promise<Generated> {
  const events: ModelEvent[] = [];
  const calls: { name: string; arguments: string }[] = [];
  let text = '';
  let reasoning = '';
  for await (const event of model.generate(request, signal)) {
    events.push(event);
    if (event.type === 'text') text += event.text;
    if (event.type === 'reasoning') reasoning += event.text;
    if (event.type === 'tool-call') calls.push({ name: event.name, arguments: '' });
    const call = calls.at(-1);
    if (event.type === 'tool-arguments' && call) call.arguments += event.fragment;
  }
  const end = events.at(-1);
  if (end?.type !== 'end') throw new Error('the last event is not the end');
  return { events, text, reasoning, calls, end };
}

export const weather = {
  name: 'get_weather',
  description: 'The weather in a city',
  schema: {
    type: 'object',
    properties: { city: { type: 'string' }, unit: { enum: ['celsius', 'fahrenheit'] } },
    required: ['city'],
  },
};
