import { isArray, isObject, type Json, type JsonObject } from './template.ts';

/** What a template's functions look up. Each throws, or gives `undefined`, for what it doesn't know. */
export interface EvaluationScope {
  /** Parameters, pseudo parameters and resources. */
  ref(name: string): Json | typeof NO_VALUE | undefined;
  attribute(logicalId: string, attribute: string): Json | undefined;
  mapping(map: string, topKey: string, secondKey: string): Json | undefined;
  condition(name: string): Json | undefined;
  importValue(exportName: string): Json | undefined;
  availabilityZones(region: string): readonly string[];
  /** `{{resolve:service:reference}}`, without the braces and `resolve:`. */
  dynamicReference(reference: string): string | undefined;
}

/** `AWS::NoValue`: the property that has it is as if it were not there. */
export const NO_VALUE = Symbol('AWS::NoValue');

export class TemplateError extends Error {
  override readonly name = 'TemplateError';
}

/**
 * Evaluates CloudFormation's intrinsic functions. What isn't known is an error that says where: a value is never
 * dropped or passed on unevaluated.
 */
export class Evaluator {
  readonly #scope: EvaluationScope;

  constructor(scope: EvaluationScope) {
    this.#scope = scope;
  }

  /** @param path where the value stands, for messages: `<logical id>.Properties.…` */
  evaluate(value: Json, path: string): Json {
    const result = this.#value(value, path);
    if (result === NO_VALUE) throw new TemplateError(`${path}: AWS::NoValue can't be a value here`);
    return result;
  }

  /** A condition: `Fn::Equals`, `And`, `Or`, `Not`, or the name of another in `{ Condition: … }`. */
  condition(value: Json, path: string): boolean {
    const call = asCall(value, path);
    if (call === undefined) throw new TemplateError(`${path}: not a condition: ${JSON.stringify(value)}`);
    const [name, argument] = call;
    const args = (least: number, most: number): readonly Json[] => {
      if (!isArray(argument) || argument.length < least || argument.length > most) {
        throw new TemplateError(`${path}: ${name} takes ${least} to ${most} arguments`);
      }
      return argument;
    };
    const each = (arg: Json, index: number): boolean => this.condition(arg, `${path}.${name}[${index}]`);
    switch (name) {
      case 'Fn::Equals': {
        const [left = null, right = null] = args(2, 2).map((arg, i) => this.evaluate(arg, `${path}.${name}[${i}]`));
        return JSON.stringify(left) === JSON.stringify(right);
      }
      case 'Fn::And':
        return args(2, 10).every(each);
      case 'Fn::Or':
        return args(2, 10).some(each);
      case 'Fn::Not':
        return !args(1, 1).some(each);
      case 'Condition': {
        const definition = this.#scope.condition(text(argument, path));
        if (definition === undefined)
          throw new TemplateError(`${path}: no condition named ${JSON.stringify(argument)}`);
        return this.condition(definition, `Conditions.${text(argument, path)}`);
      }
      default:
        throw new TemplateError(`${path}: ${name} is no condition function`);
    }
  }

  #value(value: Json, path: string): Json | typeof NO_VALUE {
    if (typeof value === 'string') return this.#dynamic(value, path);
    if (isArray(value)) {
      return value.map((item, i) => this.#value(item, `${path}[${i}]`)).filter((item) => item !== NO_VALUE);
    }
    if (!isObject(value)) return value;
    const call = asCall(value, path);
    if (call !== undefined && call[0] !== 'Condition') return this.#call(call[0], call[1], path);
    const result: Record<string, Json> = {};
    for (const [key, item] of Object.entries(value)) {
      const evaluated = this.#value(item, `${path}.${key}`);
      if (evaluated !== NO_VALUE) result[key] = evaluated;
    }
    return result;
  }

  #call(name: string, argument: Json, path: string): Json | typeof NO_VALUE {
    const at = `${path}.${name}`;
    const list = (length: number): readonly Json[] => {
      if (!isArray(argument) || argument.length !== length) {
        throw new TemplateError(`${at}: takes a list of ${length}, not ${JSON.stringify(argument)}`);
      }
      return argument;
    };
    const item = (index: number): Json =>
      this.evaluate((argument as readonly Json[])[index] ?? null, `${at}[${index}]`);
    switch (name) {
      case 'Ref':
        return this.#ref(text(argument, at), at);
      case 'Fn::GetAtt': {
        const [id, ...rest] = typeof argument === 'string' ? argument.split('.') : list(2);
        return this.#attribute(
          text(id ?? null, at),
          rest.map((part) => text(this.evaluate(part, at), at)).join('.'),
          at,
        );
      }
      case 'Fn::Join': {
        list(2);
        return strings(item(1), at).join(text(item(0), at));
      }
      case 'Fn::Split': {
        list(2);
        return text(item(1), at).split(text(item(0), at));
      }
      case 'Fn::Select': {
        list(2);
        const index = Number(item(0));
        const choices = item(1);
        const chosen = isArray(choices) ? choices[index] : undefined;
        if (chosen === undefined) throw new TemplateError(`${at}: no element ${index} in ${JSON.stringify(choices)}`);
        return chosen;
      }
      case 'Fn::Sub':
        return this.#sub(argument, at);
      case 'Fn::If': {
        const [condition = null, yes = null, no = null] = list(3);
        const holds = this.condition({ Condition: condition }, at);
        return this.#value(holds ? yes : no, `${at}[${holds ? 1 : 2}]`);
      }
      case 'Fn::FindInMap': {
        list(3);
        const keys = [item(0), item(1), item(2)].map((key) => text(key, at));
        const [map = '', top = '', second = ''] = keys;
        const found = this.#scope.mapping(map, top, second);
        if (found === undefined) throw new TemplateError(`${at}: nothing at ${keys.join(' / ')} in the mappings`);
        return found;
      }
      case 'Fn::Base64':
        return Buffer.from(text(this.evaluate(argument, at), at)).toString('base64');
      case 'Fn::GetAZs':
        return this.#scope.availabilityZones(text(this.evaluate(argument, at), at));
      case 'Fn::ImportValue': {
        const exported = text(this.evaluate(argument, at), at);
        const found = this.#scope.importValue(exported);
        if (found === undefined) throw new TemplateError(`${at}: no stack of the assembly exports ${exported}`);
        return found;
      }
      default:
        throw new TemplateError(`${path}: the local run doesn't know the intrinsic function ${name}`);
    }
  }

  #ref(name: string, path: string): Json | typeof NO_VALUE {
    const found = this.#scope.ref(name);
    if (found === undefined) throw new TemplateError(`${path}: nothing is named ${name}`);
    return found;
  }

  #attribute(logicalId: string, attribute: string, path: string): Json {
    const found = this.#scope.attribute(logicalId, attribute);
    if (found === undefined)
      throw new TemplateError(`${path}: ${logicalId} has no attribute ${attribute} that is known`);
    return found;
  }

  #sub(argument: Json, path: string): Json {
    const [template = null, variables = {}] = isArray(argument) ? argument : [argument];
    if (!isObject(variables)) throw new TemplateError(`${path}: variables must be a map`);
    const result = text(template, path).replaceAll(/\$\{([^}]*)\}/g, (_, name: string) => {
      if (name.startsWith('!')) return `\${${name.slice(1)}}`;
      const key = name.trim();
      const at = `${path}.${key}`;
      const own = Object.hasOwn(variables, key) ? variables[key] : undefined;
      if (own !== undefined) return text(this.evaluate(own, at), at);
      const dot = key.indexOf('.');
      if (dot > 0) return text(this.#attribute(key.slice(0, dot), key.slice(dot + 1), at), at);
      const found = this.#ref(key, at);
      if (found === NO_VALUE) throw new TemplateError(`${at}: AWS::NoValue can't be part of a string`);
      return text(found, at);
    });
    return this.#dynamic(result, path);
  }

  #dynamic(value: string, path: string): string {
    if (!value.includes('{{resolve:')) return value;
    return value.replaceAll(/\{\{resolve:([^}]*)\}\}/g, (whole, reference: string) => {
      const found = this.#scope.dynamicReference(reference);
      if (found === undefined) throw new TemplateError(`${path}: the local run can't resolve ${whole}`);
      return found;
    });
  }
}

/** `[function, argument]` when the value is a function's call. */
function asCall(value: Json, path: string): readonly [string, Json] | undefined {
  if (!isObject(value)) return undefined;
  const keys = Object.keys(value);
  const functions = keys.filter((key) => key.startsWith('Fn::') || key === 'Ref');
  if (keys.length > 1 && functions.length > 0) {
    throw new TemplateError(`${path}: ${functions.join(', ')} beside other keys (${keys.join(', ')})`);
  }
  const [key] = keys;
  if (keys.length !== 1 || key === undefined || (functions.length === 0 && key !== 'Condition')) return undefined;
  return [key, (value as JsonObject)[key] ?? null];
}

function text(value: Json | undefined, path: string): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  throw new TemplateError(`${path}: must be a string, not ${JSON.stringify(value)}`);
}

function strings(value: Json, path: string): string[] {
  if (!isArray(value)) throw new TemplateError(`${path}: must be a list, not ${JSON.stringify(value)}`);
  return value.map((item) => text(item, path));
}
