/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.ropeworks;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedSet;
import java.util.TreeSet;

/**
 * The way to wherever the ropeworks keeps its cables; a test puts a map in its place.
 *
 * @param <I> what identifies a cable there
 */
public interface CableStore<I extends Comparable<? super I>> {

  /**
   * Looks a cable up.
   *
   * @param id its identity in the store
   * @return the cable, or nothing when the store has none of that identity
   */
  Optional<Cable> find(I id);

  /** Stores a cable under an identity; what stood there before is gone. */
  void put(I id, Cable cable);

  Map<I, Cable> all();

  /** Returns the smallest and the largest identity of any cable; of an empty store nothing. */
  default List<I> firstAndLastCable() {
    SortedSet<I> cablesById = new TreeSet<>(all().keySet());
    return cablesById.isEmpty() ? List.of() : List.of(cablesById.first(), cablesById.last());
  }
}
