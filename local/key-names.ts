import type { ApiKeyDefinition } from './apigateway/definition.ts';
import type { Stack } from './cloudformation/stack.ts';
import { variablesOf } from './lambda/from-stack.ts';

/** The handler's variable with `<api key id>=<consumer>:<tier>,…`: CONSUMERS_ENV of lib/private/serving-config.ts. */
const CONSUMERS_VARIABLE = 'LLM_CONSUMERS';

/** What to call the API keys: by their consumer, where a function of the assembly knows it, else by construct. */
export function keyNames(stacks: readonly Stack[], keys: readonly ApiKeyDefinition[]): Map<string, string> {
  const names = new Map<string, string>();
  for (const key of keys) {
    const parts = key.name.split('/').filter((part) => part !== 'Resource');
    names.set(key.id, parts.at(-1) ?? key.name);
  }
  for (const resource of stacks.flatMap((stack) => stack.ofType('AWS::Lambda::Function'))) {
    for (const entry of (variablesOf(resource)[CONSUMERS_VARIABLE] ?? '').split(',')) {
      const [, id, consumer] = /^([^=]+)=(.*):[^:]*$/.exec(entry) ?? [];
      if (id !== undefined && consumer !== undefined && names.has(id)) names.set(id, consumer);
    }
  }
  return names;
}
