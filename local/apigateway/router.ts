import type { MethodDefinition, ResourceDefinition } from './definition.ts';

export interface Route {
  readonly resource: ResourceDefinition;
  readonly method: MethodDefinition;
  readonly pathParameters: Readonly<Record<string, string>>;
}

interface Candidate {
  readonly resource: ResourceDefinition;
  readonly segments: readonly string[];
}

/**
 * Picks the resource that fits a path most specifically: a literal segment before `{name}`, and that before `{name+}`,
 * which takes the rest. A resource whose methods don't fit is no match: API Gateway says the same of both.
 */
export class Router {
  readonly #candidates: readonly Candidate[];

  constructor(resources: readonly ResourceDefinition[]) {
    this.#candidates = resources
      .map((resource) => ({ resource, segments: segmentsOf(resource.path) }))
      .sort((a, b) => compareSpecificity(a.segments, b.segments));
  }

  find(httpMethod: string, path: string): Route | undefined {
    // One trailing slash is as if it were not there.
    const segments = segmentsOf(path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path);
    for (const { resource, segments: pattern } of this.#candidates) {
      const pathParameters = match(pattern, segments);
      if (pathParameters === undefined) continue;
      const method = resource.methods.get(httpMethod) ?? resource.methods.get('ANY');
      return method === undefined ? undefined : { resource, method, pathParameters };
    }
    return undefined;
  }
}

function segmentsOf(path: string): string[] {
  return path === '/' || path === '' ? [] : path.slice(1).split('/');
}

function match(pattern: readonly string[], segments: readonly string[]): Record<string, string> | undefined {
  const parameters: Record<string, string> = {};
  for (const [index, part] of pattern.entries()) {
    const segment = segments[index];
    if (segment === undefined) return undefined;
    if (part.endsWith('+}')) {
      parameters[part.slice(1, -2)] = decode(segments.slice(index).join('/'));
      return parameters;
    }
    if (part.startsWith('{')) {
      if (segment === '') return undefined;
      parameters[part.slice(1, -1)] = decode(segment);
    } else if (part !== decode(segment)) {
      return undefined;
    }
  }
  return pattern.length === segments.length ? parameters : undefined;
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

function rank(segment: string | undefined): number {
  if (segment === undefined) return 3;
  if (segment.endsWith('+}')) return 2;
  return segment.startsWith('{') ? 1 : 0;
}

function compareSpecificity(a: readonly string[], b: readonly string[]): number {
  for (let index = 0; index < Math.max(a.length, b.length); index++) {
    const difference = rank(a[index]) - rank(b[index]);
    if (difference !== 0) return difference;
  }
  return 0;
}
