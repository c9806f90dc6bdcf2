import type { SchemaProblem } from '../generated/chat-completion-request.js';
import { type ApiError, invalidRequest } from './errors.ts';

/** A schema's refusal in OpenAI's words: the parameter as `messages[0].content`, and what was expected. */
export function describeProblem(body: unknown, problem: SchemaProblem): ApiError {
  const steps = pointerSteps(problem.instancePath);
  const value = steps.reduce<unknown>((at, step) => (at as Record<string, unknown> | undefined)?.[step], body);
  const param = dotted(steps, body);
  const { params } = problem;
  switch (problem.keyword) {
    case 'required': {
      const missing = dotted([...steps, String(params.missingProperty)], body);
      return invalidRequest(`Missing required parameter: '${missing}'.`, missing, 'missing_required_parameter');
    }
    case 'type':
      return invalidRequest(
        `${param === '' ? 'Invalid request body' : `Invalid type for '${param}'`}: expected ${expectation(params.type)}, but got ${article(value)} instead.`,
        param || null,
        'invalid_type',
      );
    case 'enum':
      return invalidRequest(
        `Invalid value: ${shown(value)}. Supported values are: ${(params.allowedValues as unknown[]).map(shown).join(', ')}.`,
        param,
        'invalid_value',
      );
    case 'minimum':
    case 'maximum': {
      const [side, sign] = problem.keyword === 'minimum' ? ['below minimum', '>='] : ['above maximum', '<='];
      const kind = Number.isInteger(value) ? 'integer' : 'decimal';
      return invalidRequest(
        `Invalid '${param}': ${kind} ${side} value. Expected a value ${sign} ${params.limit}, but got ${shown(value)} instead.`,
        param,
        `${kind}_${side.replace(' ', '_')}_value`.replace('minimum', 'min').replace('maximum', 'max'),
      );
    }
    case 'minItems':
      return invalidRequest(
        `Invalid '${param}': empty array. Expected an array with minimum length ${params.limit}, but got an empty array instead.`,
        param,
        'empty_array',
      );
    case 'maxLength':
      return invalidRequest(
        `Invalid '${param}': string too long. Expected a string with maximum length ${params.limit}.`,
        param,
        'string_above_max_length',
      );
    case 'maxProperties':
      return invalidRequest(
        `Invalid '${param}': too many properties. Expected an object with at most ${params.limit} properties.`,
        param,
        'object_above_max_properties',
      );
    case 'pattern':
      return invalidRequest(
        `Invalid '${param}': ${shown(value)} does not match the expected format '${params.pattern}'.`,
        param,
        'invalid_value',
      );
    default:
      return invalidRequest(`Invalid '${param}'.`, param || null, 'invalid_value');
  }
}

function pointerSteps(pointer: string): string[] {
  if (pointer === '') return [];
  return pointer
    .slice(1)
    .split('/')
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
}

/** `['messages', '0', 'content']` -> `messages[0].content` */
function dotted(steps: readonly string[], body: unknown): string {
  let at = body;
  let path = '';
  for (const step of steps) {
    path += Array.isArray(at) ? `[${step}]` : path === '' ? step : `.${step}`;
    at = (at as Record<string, unknown> | null | undefined)?.[step];
  }
  return path;
}

const ARTICLES: Readonly<Record<string, string>> = { integer: 'an integer', object: 'an object', array: 'an array' };
const withArticle = (type: string) => (type === 'null' ? 'null' : (ARTICLES[type] ?? `a ${type}`));

function expectation(type: unknown): string {
  const types = (Array.isArray(type) ? type : String(type).split(',')).filter((name) => name !== 'null');
  return types.length > 1 ? `one of ${types.map(withArticle).join(' or ')}` : withArticle(String(types[0]));
}

function article(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'number') return Number.isInteger(value) ? 'an integer' : 'a decimal';
  return withArticle(typeof value);
}

/** A value of the client's own, short enough for a message. */
function shown(value: unknown): string {
  const text = typeof value === 'string' ? `'${value}'` : String(JSON.stringify(value));
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
