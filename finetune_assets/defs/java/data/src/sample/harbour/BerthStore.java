/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.harbour;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedSet;
import java.util.TreeSet;
import java.util.function.Supplier;

/**
 * The way to wherever the harbour keeps its berths; a test puts a map in its place.
 *
 * @param <I> what identifies a berth there
 */
public interface BerthStore<I extends Comparable<? super I>> {

  /**
   * Looks a berth up.
   *
   * @param id its identity in the store
   * @return the berth, or nothing when the store has none of that identity
   */
  Optional<Berth> find(I id);

  /** Stores a berth under an identity; what stood there before is gone. */
  void put(I id, Berth berth);

  Map<I, Berth> all();

  /** Finds the berth or makes it, so that a caller need not ask twice. */
  default Berth getOrCreate(I id, Supplier<? extends Berth> maker) {
    return find(id).orElseGet(() -> {
      Berth made = maker.get();
      put(id, made);
      return made;
    });
  }

  /** Returns the smallest and the largest identity of any berth; of an empty store nothing. */
  default List<I> firstAndLastBerth() {
    SortedSet<I> berthsById = new TreeSet<>(all().keySet());
    return berthsById.isEmpty() ? List.of() : List.of(berthsById.first(), berthsById.last());
  }
}
