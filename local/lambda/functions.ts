import type { Stack } from '../cloudformation/stack.ts';
import { type FunctionSettings, functionOptions } from './from-stack.ts';
import type { InvocationResponse } from './invocation.ts';
import { LocalFunction } from './local-function.ts';

/** The functions of some stacks, by ARN. One is prepared when something is found to need it, and not before. */
export class Functions {
  readonly #stacks: readonly Stack[];
  readonly #settings: FunctionSettings;
  readonly #functions = new Map<string, LocalFunction>();

  constructor(stacks: readonly Stack[], settings: FunctionSettings) {
    this.#stacks = stacks;
    this.#settings = settings;
  }

  /** @param arn of the function, a version or an alias: all are the same code. @throws Error */
  prepare(arn: string): LocalFunction {
    const name = arn.split(':')[6] ?? arn;
    const known = this.#functions.get(name);
    if (known !== undefined) return known;
    for (const stack of this.#stacks) {
      const resource = stack.ofType('AWS::Lambda::Function').find((candidate) => candidate.ref === name);
      if (resource === undefined) continue;
      const prepared = new LocalFunction(functionOptions(stack, resource, this.#settings));
      this.#functions.set(name, prepared);
      return prepared;
    }
    throw new Error(`no function of the assembly has the ARN ${arn}`);
  }

  invoke(arn: string, event: unknown): Promise<InvocationResponse> {
    return this.prepare(arn).invoke(event);
  }

  get prepared(): LocalFunction[] {
    return [...this.#functions.values()];
  }

  async close(): Promise<void> {
    await Promise.all(this.prepared.map((fn) => fn.close()));
  }
}
