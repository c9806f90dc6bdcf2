import type { IncomingMessage } from 'node:http';
import type { ActionDefinition, ConditionDefinition, ListenerDefinition } from './definition.ts';

/** The action of the first rule whose conditions all hold; the last rule has none. */
export function actionFor(listener: ListenerDefinition, request: IncomingMessage): ActionDefinition {
  const rule = listener.rules.find((candidate) => candidate.conditions.every((condition) => holds(condition, request)));
  if (rule === undefined) throw new Error('a listener needs a default action');
  return rule.action;
}

function holds(condition: ConditionDefinition, request: IncomingMessage): boolean {
  switch (condition.field) {
    case 'path-pattern': {
      // As it came, without the query: `%2e%2e` and the like are for the target to understand.
      const [path = '/'] = (request.url ?? '/').split('?');
      return condition.patterns.some((pattern) => wildcard(pattern).test(path));
    }
    case 'host-header': {
      const [host = ''] = (request.headers.host ?? '').split(':');
      return condition.patterns.some((pattern) => wildcard(pattern, 'i').test(host));
    }
    case 'http-request-method':
      return condition.patterns.includes(request.method ?? '');
    case 'http-header': {
      const value = request.headers[condition.header ?? ''];
      const values = Array.isArray(value) ? value : [value ?? ''];
      return (
        value !== undefined && condition.patterns.some((pattern) => values.some((v) => wildcard(pattern, 'i').test(v)))
      );
    }
  }
}

/** `*` is any characters, `?` exactly one. Paths are case-sensitive. */
function wildcard(pattern: string, flags = ''): RegExp {
  const source = pattern
    .replaceAll(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${source}$`, flags);
}
