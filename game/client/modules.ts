// Sub-modules: parts of the client that are loaded when they are needed. With a bundler, import() of a path becomes
// a file whose name carries a hash of what is in it, so that browsers may keep it for good.

/** Loads modules by name, each once. One that could not be loaded is tried again the next time. */
export class Modules<M> {
  private readonly loaded = new Map<string, Promise<M>>();

  constructor(private readonly loaders: Readonly<Record<string, () => Promise<M>>>) {}

  has(name: string): boolean {
    return Object.hasOwn(this.loaders, name);
  }

  get(name: string): Promise<M> {
    let module = this.loaded.get(name);
    if (!module) {
      if (!this.has(name)) return Promise.reject(new Error(`there is no module ${name}`));
      module = this.loaders[name]!();
      this.loaded.set(name, module);
      module.catch(() => this.loaded.delete(name));
    }
    return module;
  }
}
