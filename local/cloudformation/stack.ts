import type { AssemblyStack } from './assembly.ts';
import { type EvaluationScope, Evaluator, NO_VALUE, TemplateError } from './evaluator.ts';
import { physicalId, RESOURCE_TYPES, type ResourceType, type ResourceView } from './resource-types.ts';
import type { Json, TemplateResource } from './template.ts';

/** A resource whose condition holds. */
export interface Resource extends ResourceView {
  readonly type: string;
  /** What `Ref` gives. */
  readonly ref: string;
  /** Construct path, else logical id. */
  readonly path: string;
  /** Evaluated; throws when the template doesn't set it. */
  required(name: string): Json;
  /** What `Fn::GetAtt` gives; throws when the type has no such attribute. */
  attribute(name: string): string;
  /** Whether the template sets it, to something else than false; it isn't evaluated. */
  sets(name: string): boolean;
}

export interface StackOptions {
  /** Exports of the assembly's other stacks. */
  readonly importValue?: (name: string) => Json | undefined;
  readonly dynamicReference?: (reference: string) => string | undefined;
}

const SSM_PARAMETER = 'AWS::SSM::Parameter::Value<String>';

/** The bootstrap stack's version, as `cdk deploy` would find it in an account that was bootstrapped lately. */
const BOOTSTRAP_VERSION = '99';

/** One stack's template, evaluated lazily: only what something asks for is looked at. */
export class Stack {
  readonly name: string;
  readonly region: string;
  readonly account: string;
  readonly resources: readonly Resource[];
  readonly #source: AssemblyStack;
  readonly #evaluator: Evaluator;
  readonly #byId = new Map<string, Resource>();
  readonly #evaluating = new Set<string>();

  constructor(source: AssemblyStack, options: StackOptions = {}) {
    this.#source = source;
    this.name = source.name;
    this.region = source.region;
    this.account = source.account;
    const { template } = source;
    if (template.Transform !== undefined) {
      throw new TemplateError(
        `${source.name}: the local run doesn't know transforms (${JSON.stringify(template.Transform)})`,
      );
    }
    const scope: EvaluationScope = {
      ref: (name) => this.#ref(name),
      attribute: (id, name) => this.#attribute(id, name),
      mapping: (map, top, second) => template.Mappings?.[map]?.[top]?.[second],
      condition: (name) => template.Conditions?.[name],
      importValue: options.importValue ?? (() => undefined),
      availabilityZones: (region) => ['a', 'b', 'c'].map((zone) => `${region || source.region}${zone}`),
      dynamicReference: options.dynamicReference ?? (() => undefined),
    };
    this.#evaluator = new Evaluator(scope);
    for (const [logicalId, resource] of Object.entries(template.Resources)) {
      const { Condition } = resource;
      if (Condition !== undefined && !this.#evaluator.condition({ Condition }, `${logicalId}.Condition`)) continue;
      this.#byId.set(logicalId, this.#resource(logicalId, resource));
    }
    this.resources = [...this.#byId.values()];
  }

  ofType(type: string): Resource[] {
    return this.resources.filter((resource) => resource.type === type);
  }

  /** Folder of an asset by its object key. */
  asset(objectKey: string): string | undefined {
    return this.#source.assets.get(objectKey);
  }

  /** Value of an output that is exported under a name; `undefined` when none is. */
  exported(name: string): Json | undefined {
    for (const [id, output] of Object.entries(this.#source.template.Outputs ?? {})) {
      if (output.Export === undefined) continue;
      if (output.Condition !== undefined && !this.#evaluator.condition({ Condition: output.Condition }, id)) continue;
      if (this.#evaluator.evaluate(output.Export.Name, `Outputs.${id}.Export`) !== name) continue;
      return this.#evaluator.evaluate(output.Value, `Outputs.${id}.Value`);
    }
    return undefined;
  }

  #resource(logicalId: string, source: TemplateResource): Resource {
    const view: ResourceView = {
      logicalId,
      stackName: this.name,
      region: this.region,
      account: this.account,
      property: (name) => this.#property(logicalId, source, name),
    };
    const cdkPath = source.Metadata?.['aws:cdk:path'];
    const refOf = (): string => refOfType(source.Type, view);
    return {
      ...view,
      type: source.Type,
      path: typeof cdkPath === 'string' ? cdkPath : logicalId,
      get ref() {
        return refOf();
      },
      attribute(name) {
        const value = typeRules(source.Type, logicalId).attributes?.[name]?.(view);
        if (value === undefined) throw new TemplateError(`${logicalId} has no attribute ${name} that is known`);
        return value;
      },
      sets: (name) => (source.Properties?.[name] ?? false) !== false,
      required(name) {
        const value = view.property(name);
        if (value === undefined) throw new TemplateError(`${logicalId}.Properties.${name}: ${source.Type} needs it`);
        return value;
      },
    };
  }

  #property(logicalId: string, source: TemplateResource, name: string): Json | undefined {
    const raw = source.Properties?.[name];
    if (raw === undefined) return undefined;
    const path = `${logicalId}.Properties.${name}`;
    if (this.#evaluating.has(path)) throw new TemplateError(`${path} depends on itself`);
    this.#evaluating.add(path);
    try {
      // Through a list, so that a property that is AWS::NoValue is as if it were not there.
      const [value] = this.#evaluator.evaluate([raw], path) as readonly Json[];
      return value;
    } finally {
      this.#evaluating.delete(path);
    }
  }

  #ref(name: string): Json | typeof NO_VALUE | undefined {
    switch (name) {
      case 'AWS::AccountId':
        return this.account;
      case 'AWS::Region':
        return this.region;
      case 'AWS::Partition':
        return 'aws';
      case 'AWS::URLSuffix':
        return 'amazonaws.com';
      case 'AWS::StackName':
        return this.name;
      case 'AWS::StackId':
        return `arn:aws:cloudformation:${this.region}:${this.account}:stack/${this.name}/local`;
      case 'AWS::NotificationARNs':
        return [];
      case 'AWS::NoValue':
        return NO_VALUE;
      default:
    }
    const parameter = this.#source.template.Parameters?.[name];
    if (parameter !== undefined) return this.#parameter(name, parameter.Type, parameter.Default);
    return this.#byId.get(name)?.ref;
  }

  #parameter(name: string, type: string, value: string | number | undefined): Json {
    if (value === undefined) throw new TemplateError(`parameter ${name} has no default, and the local run sets none`);
    if (type === SSM_PARAMETER && /^\/cdk-bootstrap\/[^/]+\/version$/.test(String(value))) return BOOTSTRAP_VERSION;
    if (type.startsWith('AWS::SSM::')) throw new TemplateError(`parameter ${name}: no SSM parameter ${value} here`);
    if (type === 'CommaDelimitedList' || type.startsWith('List<')) return String(value).split(',');
    return value;
  }

  #attribute(logicalId: string, attribute: string): Json | undefined {
    const resource = this.#byId.get(logicalId);
    if (resource === undefined) return undefined;
    return typeRules(resource.type, logicalId).attributes?.[attribute]?.(resource);
  }
}

function refOfType(type: string, view: ResourceView): string {
  return (typeRules(type, view.logicalId).ref ?? physicalId)(view);
}

function typeRules(type: string, logicalId: string): ResourceType {
  const rules = RESOURCE_TYPES[type];
  if (rules === undefined) {
    throw new TemplateError(
      `${logicalId}: something that runs here refers to it, and the local run doesn't know ${type}`,
    );
  }
  return rules;
}

/** The assembly's stacks, with each other's exports. */
export function evaluateStacks(sources: readonly AssemblyStack[], options: StackOptions = {}): Stack[] {
  const stacks: Stack[] = [];
  const importValue = (name: string): Json | undefined => {
    for (const stack of stacks) {
      const value = stack.exported(name);
      if (value !== undefined) return value;
    }
    return undefined;
  };
  for (const source of sources) stacks.push(new Stack(source, { ...options, importValue }));
  return stacks;
}
