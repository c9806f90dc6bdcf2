/** Flags of a command line, in the order in which they are added; those without a value are left out. */
export class Arguments {
  private readonly parts: string[] = [];

  public value(flag: string, value: string | number | undefined): this {
    if (value !== undefined) this.parts.push(flag, String(value));
    return this;
  }

  public flag(flag: string, on: boolean | undefined): this {
    if (on === true) this.parts.push(flag);
    return this;
  }

  /**
   * The user's own flags.
   *
   * @param owned flags that the construct sets, or that would break it, each with what to do instead
   */
  public extra(args: readonly string[] | undefined, owned: Readonly<Record<string, string>>): this {
    for (const arg of args ?? []) {
      const name = arg.split('=', 1)[0] ?? arg;
      const remedy = Object.hasOwn(owned, name) ? owned[name] : undefined;
      if (remedy !== undefined) throw new Error(`args must not hold "${name}": ${remedy}`);
      this.parts.push(arg);
    }
    return this;
  }

  public list(): string[] {
    return [...this.parts];
  }
}

/** Flags that every engine has under one name or another. */
export const OWNED_BY_FLEET = {
  '--host': 'the fleet sets it',
  '--hostname': 'the fleet sets it',
  '--port': 'the fleet sets it',
  '--api-key': 'the fleet makes a key and keeps it in Secrets Manager',
  '--model': 'use weights of the fleet',
  '--model-id': 'use weights of the fleet',
  '--model-path': 'use weights of the fleet',
  '--revision': 'use revision of the weights',
  '--served-model-name': 'use modelName of the fleet',
} as const;
