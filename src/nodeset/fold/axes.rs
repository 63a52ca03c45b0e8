//! Folding names with several numbers: points into as few boxes as are easily
//! found, in the order in which ClusterShell finds them.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

use super::number::Number;

/// Steps that the search for pairs may take. What is not merged by then stays
/// apart: the result is longer than it could be, and still right.
const WORK_MAX: usize = 5_000_000;

/// Merges sorted points without repetition into boxes: for each axis its
/// numbers, sorted.
pub(super) fn merge<'a>(points: Vec<Vec<Number<'a>>>) -> Vec<Vec<Vec<Number<'a>>>> {
    let axes = points.first().map_or(0, Vec::len);
    if axes < 2 {
        let column = points.iter().filter_map(|point| point.first().copied()).collect();
        return vec![if axes == 0 { Vec::new() } else { vec![column] }];
    }
    let axes: Vec<Axis<'a>> = (0..axes).map(|axis| Axis::new(&points, axis)).collect();
    let boxes = points.iter().map(|point| {
        let sides = axes.iter().zip(point).map(|(axis, number)| axis.side(*number));
        Hyperbox(sides.collect())
    });
    let merged = merge_boxes(boxes.collect(), &axes);
    merged.iter().map(|found| found.numbers(&axes)).collect()
}

/// The numbers that stand at one place of the names.
struct Axis<'a> {
    /// Sorted; a number is known by its place here.
    numbers: Vec<Number<'a>>,
    places: HashMap<&'a str, usize>,
    /// For each number its place if they were sorted as text.
    ranks: Vec<usize>,
}

impl<'a> Axis<'a> {
    fn new(points: &[Vec<Number<'a>>], axis: usize) -> Self {
        let numbers: BTreeSet<Number<'a>> = points.iter().map(|point| point[axis]).collect();
        let numbers: Vec<Number<'a>> = numbers.into_iter().collect();
        let places = numbers.iter().enumerate().map(|(place, number)| (number.digits, place));
        let mut by_text: Vec<usize> = (0..numbers.len()).collect();
        by_text.sort_unstable_by_key(|place| numbers[*place].digits);
        let mut ranks = vec![0; numbers.len()];
        for (rank, place) in by_text.into_iter().enumerate() {
            ranks[place] = rank;
        }
        Self { places: places.collect(), ranks, numbers }
    }

    fn side(&self, number: Number<'a>) -> BTreeSet<usize> {
        self.places.get(number.digits).copied().into_iter().collect()
    }

    fn rank(&self, place: Option<&usize>) -> usize {
        place.map_or(0, |place| self.ranks[*place])
    }
}

/// A product of sets of numbers, one set for each axis.
struct Hyperbox(Vec<BTreeSet<usize>>);

impl Hyperbox {
    fn numbers<'a>(&self, axes: &[Axis<'a>]) -> Vec<Vec<Number<'a>>> {
        let sides = self.0.iter().zip(axes);
        sides.map(|(side, axis)| side.iter().map(|place| axis.numbers[*place]).collect()).collect()
    }

    /// What boxes are sorted by: larger ones first, then by their sides.
    fn key(&self, axes: &[Axis<'_>]) -> impl Ord + use<> {
        let volume: usize = self.0.iter().map(BTreeSet::len).product();
        let sides = self.0.iter().zip(axes).map(|(side, axis)| {
            (Reverse(side.len()), axis.rank(side.first()), axis.rank(side.last()))
        });
        (Reverse(volume), sides.collect::<Vec<_>>())
    }

    /// Takes the other one in if both differ on one axis only. (Boxes have no
    /// point in common, so they differ on one at least.) Adds to `work` what it
    /// cost to find out.
    fn absorb(&mut self, other: &mut Self, work: &mut usize) -> bool {
        let mut differing = None;
        for (axis, (mine, theirs)) in self.0.iter().zip(&other.0).enumerate() {
            *work += if mine.len() == theirs.len() { mine.len() } else { 1 };
            if mine != theirs && differing.replace(axis).is_some() {
                return false;
            }
        }
        if let Some(axis) = differing {
            let (mine, theirs) = (&mut self.0[axis], &mut other.0[axis]);
            if mine.len() < theirs.len() {
                std::mem::swap(mine, theirs);
            }
            *work += theirs.len();
            // Not `append`, which rebuilds the larger set.
            mine.extend(std::mem::take(theirs));
        }
        true
    }
}

/// Neighbours are merged until none are left that can be; then, once, every
/// box is compared with every later one, and so on until nothing changes.
fn merge_boxes(mut boxes: Vec<Hyperbox>, axes: &[Axis<'_>]) -> Vec<Hyperbox> {
    let mut work = 0;
    let mut thorough = false;
    loop {
        boxes.sort_by_cached_key(|found| found.key(axes));
        let before = boxes.len();
        boxes = match thorough {
            false => merge_neighbours(boxes, &mut work),
            true => merge_pairs(boxes, &mut work),
        };
        if boxes.len() == before || work > WORK_MAX {
            if thorough || work > WORK_MAX {
                return boxes;
            }
            thorough = true;
        }
    }
}

fn merge_neighbours(boxes: Vec<Hyperbox>, work: &mut usize) -> Vec<Hyperbox> {
    let mut merged: Vec<Hyperbox> = Vec::new();
    for mut next in boxes {
        let absorbed = merged.last_mut().is_some_and(|last| last.absorb(&mut next, work));
        if !absorbed {
            merged.push(next);
        }
    }
    merged
}

fn merge_pairs(boxes: Vec<Hyperbox>, work: &mut usize) -> Vec<Hyperbox> {
    let mut slots: Vec<Option<Hyperbox>> = boxes.into_iter().map(Some).collect();
    for first in 0..slots.len() {
        let Some(mut grown) = slots[first].take() else { continue };
        for slot in &mut slots[first + 1..] {
            if *work > WORK_MAX {
                break;
            }
            if slot.as_mut().is_some_and(|later| grown.absorb(later, work)) {
                *slot = None;
            }
        }
        slots[first] = Some(grown);
    }
    slots.into_iter().flatten().collect()
}
