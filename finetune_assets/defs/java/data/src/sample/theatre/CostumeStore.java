/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.theatre;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedSet;
import java.util.TreeSet;

/**
 * The way to wherever the theatre keeps its costumes; a test puts a map in its place.
 *
 * @param <I> what identifies a costume there
 */
public interface CostumeStore<I extends Comparable<? super I>> {

  /**
   * Looks a costume up.
   *
   * @param id its identity in the store
   * @return the costume, or nothing when the store has none of that identity
   */
  Optional<Costume> find(I id);

  /** Stores a costume under an identity; what stood there before is gone. */
  void put(I id, Costume costume);

  Map<I, Costume> all();

  /** Returns the smallest and the largest identity of any costume; of an empty store nothing. */
  default List<I> firstAndLastCostume() {
    SortedSet<I> costumesById = new TreeSet<>(all().keySet());
    return costumesById.isEmpty() ? List.of() : List.of(costumesById.first(), costumesById.last());
  }
}
