/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.vineyard;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedSet;
import java.util.TreeSet;
import java.util.function.Supplier;

/**
 * The way to wherever the vineyard keeps its casks; a test puts a map in its place.
 *
 * @param <I> what identifies a cask there
 */
public interface CaskStore<I extends Comparable<? super I>> {

  /**
   * Looks a cask up.
   *
   * @param id its identity in the store
   * @return the cask, or nothing when the store has none of that identity
   */
  Optional<Cask> find(I id);

  /** Stores a cask under an identity; what stood there before is gone. */
  void put(I id, Cask cask);

  Map<I, Cask> all();

  /** Finds the cask or makes it, so that a caller need not ask twice. */
  default Cask getOrCreate(I id, Supplier<? extends Cask> maker) {
    return find(id).orElseGet(() -> {
      Cask made = maker.get();
      put(id, made);
      return made;
    });
  }

  /** Copies every cask of another store that this one lacks, and returns how many came over. */
  default int adoptCasks(CaskStore<I> other) {
    int casksAdopted = 0;
    for (Map.Entry<I, Cask> otherCask : other.all().entrySet()) {
      if (find(otherCask.getKey()).isEmpty()) {
        put(otherCask.getKey(), otherCask.getValue());
        casksAdopted++;
      }
    }
    return casksAdopted;
  }

  /** Returns the smallest and the largest identity of any cask; of an empty store nothing. */
  default List<I> firstAndLastCask() {
    SortedSet<I> casksById = new TreeSet<>(all().keySet());
    return casksById.isEmpty() ? List.of() : List.of(casksById.first(), casksById.last());
  }
}
