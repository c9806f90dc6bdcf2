import { hash, seededRandom } from './pace.ts';
import { schemaInstance } from './schema-instance.ts';
import type { GenerateRequest, ModelTool } from './text-model.ts';

/** What the simulated model will say, decided before the first token. */
export interface SimulatedAnswer {
  readonly reasoning: string;
  readonly text: string;
  readonly call?: { readonly id: string; readonly name: string; readonly arguments: string };
}

export const LABEL = 'Simulated answer: no model is running here.';

export function simulatedAnswer(request: GenerateRequest): SimulatedAnswer {
  const prompt = lastText(request, 'user');
  const reasoning = request.reasoning
    ? `Simulated reasoning. The question has ${prompt.split(/\s+/).length} words; the answer will say that it is simulated.`
    : '';
  const tool = toolToCall(request, prompt);
  if (tool) {
    const args = JSON.stringify(schemaInstance(tool.schema, hintsFrom(prompt)));
    const id = `call_${hash(JSON.stringify(request.messages) + tool.name)
      .toString(36)
      .padStart(7, '0')}`;
    return { reasoning, text: '', call: { id, name: tool.name, arguments: args } };
  }
  if (request.jsonSchema) {
    return { reasoning, text: JSON.stringify(schemaInstance(request.jsonSchema, hintsFrom(prompt))) };
  }
  return { reasoning, text: prose(request, prompt) };
}

function toolToCall(request: GenerateRequest, prompt: string): ModelTool | undefined {
  const { tools, toolChoice } = request;
  if (tools.length === 0 || toolChoice === 'none') return undefined;
  if (typeof toolChoice === 'object') return tools.find((tool) => tool.name === toolChoice.name);
  const asked = tools.find((tool) => isAskedFor(tool, prompt));
  if (toolChoice === 'required') return asked ?? tools[0];
  // A tool's result is the last message: now it is time to answer.
  return request.messages.at(-1)?.role === 'user' ? asked : undefined;
}

/** Words too common to mean a tool. */
const VERBS = new Set([
  'call',
  'create',
  'fetch',
  'find',
  'get',
  'list',
  'make',
  'read',
  'search',
  'show',
  'tool',
  'update',
]);

function isAskedFor(tool: ModelTool, prompt: string): boolean {
  const text = prompt.toLowerCase();
  if (text.includes(tool.name.toLowerCase())) return true;
  const words = tool.name
    .replace(/([a-z])([A-Z])/g, '$1 $2')
    .toLowerCase()
    .split(/[^a-z0-9]+/);
  return words.some((word) => word.length > 3 && !VERBS.has(word) && text.includes(word));
}

/** Names in the prompt (capitalized, not at a sentence's start), then quoted parts, then its last words. */
function hintsFrom(prompt: string): string[] {
  const names = [...prompt.matchAll(/(?<=[\p{L},;:] )\p{Lu}[\p{L}-]+/gu)].map((match) => match[0]);
  const quoted = [...prompt.matchAll(/"([^"]{1,80})"/g)].map((match) => match[1] ?? '');
  const rest = prompt
    .split(/\s+/)
    .slice(-4)
    .join(' ')
    .replace(/[?.!]+$/, '');
  return [...names, ...quoted, rest].filter(Boolean);
}

/** Characters of the prompt whose words the answer takes up. */
const WORDS_FROM = 20_000;

function prose(request: GenerateRequest, prompt: string): string {
  const sentences = [LABEL];
  const last = request.messages.at(-1);
  if (last?.role === 'tool') sentences.push(`The tool returned: ${excerpt(last.text, 160)}`);
  else if (prompt.trim()) sentences.push(`You asked: "${excerpt(prompt, 160)}"`);
  const images = request.messages.flatMap((message) => message.images ?? []);
  for (const image of images)
    sentences.push(`You attached an image (${image.mediaType}, ${image.bytes.length} bytes).`);
  // A word has an end: on one of megabytes the regular expression runs out of stack.
  const words = [...new Set(prompt.slice(0, WORDS_FROM).match(/\p{L}{4,40}/gu) ?? ['the', 'question'])];
  const random = seededRandom(hash(prompt) + (request.seed ?? 0));
  const pick = () => words[Math.floor(random() * words.length)] ?? 'it';
  const forms = [
    () => `A real model would now write about ${pick()} and ${pick()}.`,
    () => `It would weigh ${pick()} against ${pick()}, and say which matters more here.`,
    () => `For ${pick()}, it would give a short example and its limits.`,
    () => `It would end with what ${pick()} means for ${pick()}.`,
  ];
  const count = 3 + Math.floor(random() * 4);
  for (let i = 0; i < count; i += 1) sentences.push(forms[i % forms.length]?.() ?? '');
  return sentences.join(' ');
}

const excerpt = (text: string, length: number): string =>
  text.length > length ? `${text.slice(0, length).trimEnd()}…` : text;

function lastText(request: GenerateRequest, role: 'user'): string {
  return request.messages.findLast((message) => message.role === role)?.text ?? '';
}
